"""What the agent needs of a way to the mesh."""

from __future__ import annotations

from typing import Protocol


class Receiver(Protocol):
    """What a transport tells the agent. Called from the event loop."""

    def arrived(self, payload: bytes) -> None:
        """Takes the second frame of a message on the reply topic."""

    def ready(self) -> None:
        """Requests get through from now on, and so do their answers."""

    def lost(self) -> None:
        """The connection is gone; the transport is looking for a new one."""


class Transport(Protocol):
    """One connection to the mesh, that comes back by itself."""

    async def start(self, reply_to: str, receiver: Receiver) -> None:
        """Begins to connect; returns before there is a connection."""

    async def send(self, topic: str, payload: bytes, request_id: str) -> None:
        """Sends a request. Called only between ``ready`` and ``lost``."""

    async def close(self) -> None:
        """Lets go of everything. Can be called twice."""
