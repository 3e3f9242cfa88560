//! Which connections there are, told by libzmq's monitor, and whether a message is from one of them.
//!
//! A subscription may only be acted upon while its connection is there: libzmq 4.3.4 keeps a bare
//! pointer to the pipe from which a subscription was read, and would write through it after the pipe
//! has gone. Its order of events makes the check sound: `DISCONNECTED` reaches the monitor before the
//! pipe ends, and a pipe ends only within a call on its socket. So whoever reads a subscription, then
//! the monitor, and finds the connection alive, may use the pipe until the next call on the socket.
//!
//! Connections are told apart by file descriptors, and those are used again. A descriptor that was
//! closed a moment ago is therefore *doubtful* when it comes back, until everything that its
//! predecessor sent has certainly been read: [`Connections::all_read`].

use std::collections::{HashMap, HashSet};

use zmq::{Context, DONTWAIT, Message, Socket, SocketType};

/// One connection, never used again for another.
pub(super) type ConnectionId = u64;

const ACCEPTED: u16 = 32;
const DISCONNECTED: u16 = 512;

/// What a descriptor is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Alive(ConnectionId),
    /// Perhaps the predecessor's message.
    Doubtful,
    Gone,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    alive: HashMap<i32, (ConnectionId, bool)>,
    /// Closed since everything was last read.
    closed: HashSet<i32>,
    next: ConnectionId,
}

impl Table {
    pub(super) fn accepted(&mut self, descriptor: i32) {
        self.next += 1;
        let doubtful = self.closed.contains(&descriptor);
        self.alive.insert(descriptor, (self.next, doubtful));
    }

    pub(super) fn disconnected(&mut self, descriptor: i32) -> Option<ConnectionId> {
        self.closed.insert(descriptor);
        self.alive.remove(&descriptor).map(|(id, _)| id)
    }

    pub(super) fn standing(&self, descriptor: i32) -> Standing {
        match self.alive.get(&descriptor) {
            None => Standing::Gone,
            Some((_, true)) => Standing::Doubtful,
            Some((id, false)) => Standing::Alive(*id),
        }
    }

    /// Nothing unread is left of connections that were closed before their descriptor was accepted
    /// again. A descriptor that has not come back stays suspect: its last messages may be on the way.
    pub(super) fn all_read(&mut self) {
        for (descriptor, (_, doubtful)) in &mut self.alive {
            if *doubtful {
                *doubtful = false;
                self.closed.remove(descriptor);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.alive.len()
    }
}

pub(super) struct Connections {
    monitor: Socket,
    table: Table,
    /// Some descriptor became doubtful since [`Connections::all_read`].
    doubt: bool,
}

impl Connections {
    /// Watches a socket; to be called before it is bound.
    pub(super) fn watch(context: &Context, socket: &Socket) -> zmq::Result<Self> {
        // One context per proxy, so that the name is free.
        let address = "inproc://connections";
        socket.monitor(address, i32::from(ACCEPTED | DISCONNECTED))?;
        let monitor = context.socket(SocketType::PAIR)?;
        monitor.connect(address)?;
        Ok(Self {
            monitor,
            table: Table::default(),
            doubt: false,
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.monitor
    }

    /// Reads what has happened; returns the connections that are gone.
    pub(super) fn update(&mut self, gone: &mut Vec<ConnectionId>) -> zmq::Result<()> {
        let mut event = Message::new();
        let mut address = Message::new();
        loop {
            match self.monitor.recv(&mut event, DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
            if event.get_more() {
                self.monitor.recv(&mut address, 0)?;
            }
            // 16 bits of event and 32 bits of value, in the machine's order (zmq_socket_monitor(3)).
            let Some((kind, value)) = parse(&event) else {
                continue;
            };
            match kind {
                ACCEPTED => {
                    self.table.accepted(value);
                    self.doubt |= self.table.standing(value) == Standing::Doubtful;
                }
                DISCONNECTED => gone.extend(self.table.disconnected(value)),
                _ => {}
            }
        }
    }

    pub(super) fn standing(&self, descriptor: i32) -> Standing {
        self.table.standing(descriptor)
    }

    /// Everything was read that had come before the last [`Connections::update`].
    pub(super) fn all_read(&mut self) {
        if std::mem::take(&mut self.doubt) {
            self.table.all_read();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

fn parse(event: &[u8]) -> Option<(u16, i32)> {
    let (kind, value) = event.split_first_chunk::<2>()?;
    let value = value.first_chunk::<4>()?;
    Some((u16::from_ne_bytes(*kind), i32::from_ne_bytes(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_comes_back_is_doubtful_until_all_is_read() {
        let mut table = Table::default();
        table.accepted(7);
        assert_eq!(table.standing(7), Standing::Alive(1));
        assert_eq!(table.disconnected(7), Some(1));
        assert_eq!(table.standing(7), Standing::Gone);
        table.all_read();
        table.accepted(7);
        assert_eq!(
            table.standing(7),
            Standing::Doubtful,
            "its last messages may have come after all was read"
        );
        table.all_read();
        assert_eq!(table.standing(7), Standing::Alive(2));
        table.disconnected(8);
        assert_eq!(table.standing(8), Standing::Gone);
    }
}
