//! The few things about ZeroMQ sockets that the `zmq` crate leaves open: two options, whole messages
//! into kept buffers, where a message came from, and threads that signals leave alone.

use std::net::{Shutdown, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};

use zmq::{DONTWAIT, Message, SNDMORE, Socket};

/// Says that subscriptions are decided upon by whoever reads them (`ZMQ_XPUB_MANUAL`).
pub(crate) fn set_manual(socket: &mut Socket) -> zmq::Result<()> {
    set(socket, zmq_sys::ZMQ_XPUB_MANUAL)
}

/// Has a full pipe refuse a message (`EAGAIN`) instead of dropping it (`ZMQ_XPUB_NODROP`).
pub(crate) fn set_no_drop(socket: &mut Socket) -> zmq::Result<()> {
    set(socket, zmq_sys::ZMQ_XPUB_NODROP)
}

#[allow(unsafe_code)]
fn set(socket: &mut Socket, option: u32) -> zmq::Result<()> {
    let on: libc::c_int = 1;
    // Options are small constants.
    let option = option.cast_signed();
    // SAFETY: the pointer is that of a live socket, which this thread holds alone (`&mut`), and the
    // option takes an int, of which address and size are given; libzmq copies it before it returns.
    let result = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            option,
            (&raw const on).cast(),
            size_of_val(&on),
        )
    };
    if result == -1 {
        return Err(last_error());
    }
    Ok(())
}

#[allow(unsafe_code)]
fn last_error() -> zmq::Error {
    // SAFETY: reads a number that belongs to this thread.
    zmq::Error::from_raw(unsafe { zmq_sys::zmq_errno() })
}

/// A message as it is received, with buffers that are used again.
pub(crate) struct Frames {
    pub topic: Message,
    pub payload: Message,
    /// All frames of the message; those beyond the second are dropped.
    pub count: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            topic: Message::new(),
            payload: Message::new(),
            count: 0,
        }
    }
}

/// Receives a whole message, or says that there is none.
pub(crate) fn receive(socket: &Socket, frames: &mut Frames) -> zmq::Result<bool> {
    match socket.recv(&mut frames.topic, DONTWAIT) {
        Ok(()) => {}
        Err(zmq::Error::EAGAIN) => return Ok(false),
        Err(error) => return Err(error),
    }
    frames.count = 1;
    let mut more = frames.topic.get_more();
    let mut rest = None;
    while more {
        // The parts of one message arrive together, so that this does not wait.
        let part = if frames.count == 1 {
            &mut frames.payload
        } else {
            rest.get_or_insert_with(Message::new)
        };
        socket.recv(part, 0)?;
        more = part.get_more();
        frames.count += 1;
    }
    if frames.count == 1 {
        frames.payload = Message::new();
    }
    Ok(true)
}

/// Sends two frames; `false` when a receiver's pipe is full and nothing was sent.
pub(crate) fn send(socket: &Socket, topic: &[u8], payload: &[u8]) -> zmq::Result<bool> {
    match socket.send(topic, SNDMORE | DONTWAIT) {
        Ok(()) => {}
        Err(zmq::Error::EAGAIN) => return Ok(false),
        Err(error) => return Err(error),
    }
    // Pipes are full by messages, not by frames: the second follows where the first went.
    socket.send(payload, DONTWAIT)?;
    Ok(true)
}

/// The file descriptor that a message was read from, where it came over a connection.
pub(crate) fn descriptor(message: &mut Message) -> Option<i32> {
    message.gets("__fd")?.parse().ok()
}

/// Keeps signals away from this thread: one that came within a call would break it off, perhaps between
/// the frames of a message. Other threads of the program take them.
#[allow(unsafe_code)]
pub(crate) fn block_signals() {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set that it is given, which `pthread_sigmask` only reads; the
    // old mask is not asked for.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// Ends the connection behind a descriptor, so that its peer connects anew, if it is one that was accepted
/// on this port: the descriptor may have become something else's in the meantime.
#[allow(unsafe_code)]
pub(crate) fn disconnect(descriptor: i32, port: u16) {
    // SAFETY: takes no memory, and fails for a descriptor that is not open.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if copy == -1 {
        return;
    }
    // SAFETY: just made, and nobody else's. What it refers to stays the same from here on.
    let copy = TcpStream::from(unsafe { OwnedFd::from_raw_fd(copy) });
    if copy.local_addr().is_ok_and(|local| local.port() == port) {
        // Libzmq sees the end of the connection as if the peer had closed it. An error: it has ended.
        let _ = copy.shutdown(Shutdown::Both);
    }
}
