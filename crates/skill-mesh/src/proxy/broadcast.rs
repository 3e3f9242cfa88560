//! Everything to everybody, as SkillScale's proxy does it: libzmq's own loop.

use zmq::Socket;

use super::ProxyError;

/// What libzmq's steerable proxy wants to hear at the end (zmq_proxy_steerable(3)).
pub(super) const TERMINATE: &str = "TERMINATE";

pub(super) fn run(
    mut xsub: Socket,
    mut xpub: Socket,
    mut control: Socket,
) -> Result<(), ProxyError> {
    zmq::proxy_steerable(&mut xsub, &mut xpub, &mut control).map_err(ProxyError::zmq("forwarding"))
}
