//! A peer of a few bytes of ZMTP 3.0, which does only what it is told to: unlike libzmq's it can fall silent
//! with its connection open, as a stopped process does, and see what comes in one piece.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::transports::PATIENCE;

pub struct Peer(TcpStream);

impl Peer {
    /// Connects and greets.
    ///
    /// # Errors
    /// When the other side closes the connection.
    pub fn greet(endpoint: &str) -> io::Result<Self> {
        let address = endpoint.strip_prefix("tcp://").expect("a TCP endpoint");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Signature, version 3.0, mechanism NULL, no server, filler: 64 bytes (ZMTP 3.0, RFC 23).
        let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
        greeting.extend_from_slice(b"NULL");
        greeting.resize(64, 0);
        stream.write_all(&greeting)?;
        let mut theirs = [0; 64];
        stream.read_exact(&mut theirs)?;
        Ok(Self(stream))
    }

    /// Says what kind of socket it is, in three letters.
    ///
    /// # Errors
    /// When the other side closes the connection.
    pub fn ready(&mut self, kind: &str) -> io::Result<()> {
        let ready = format!("\x05READY\x0bSocket-Type\0\0\0\x03{kind}");
        self.0.write_all(&[4, u8::try_from(ready.len()).unwrap()])?;
        self.0.write_all(ready.as_bytes())
    }

    /// Connects and subscribes; answers nothing from then on.
    ///
    /// # Errors
    /// When the other side closes the connection.
    pub fn subscribe(endpoint: &str, topic: &str) -> io::Result<Self> {
        let mut peer = Self::greet(endpoint)?;
        peer.ready("SUB")?;
        peer.until_ready()?;
        let subscription = [&[1], topic.as_bytes()].concat();
        let size = u8::try_from(subscription.len()).unwrap();
        peer.0.write_all(&[0, size])?;
        peer.0.write_all(&subscription)?;
        Ok(peer)
    }

    /// Waits until the other side says what it is.
    ///
    /// # Errors
    /// When it closes the connection instead.
    pub fn until_ready(&mut self) -> io::Result<()> {
        let (command, body) = self.frame()?;
        assert!(command && body.starts_with(b"\x05READY"), "{body:?}");
        Ok(())
    }

    /// What has come by the time that anything has.
    pub fn piece(&mut self) -> Vec<u8> {
        let mut piece = vec![0; 4096];
        let read = self.0.read(&mut piece).unwrap();
        piece.truncate(read);
        piece
    }

    /// Connects as a publisher and sends that many bytes of a message of 30 MiB.
    ///
    /// # Errors
    /// When the other side closes the connection.
    pub fn begin_message(endpoint: &str, bytes: usize) -> io::Result<Self> {
        let mut peer = Self::greet(endpoint)?;
        peer.ready("PUB")?;
        peer.until_ready()?;
        peer.0.write_all(&[2])?;
        peer.0.write_all(&(30_u64 * 1024 * 1024).to_be_bytes())?;
        peer.0.write_all(&vec![0; bytes])?;
        Ok(peer)
    }

    /// Whether the other side closes the connection within that time.
    pub fn ends_within(mut self, within: Duration) -> bool {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }

    /// The next message frame; commands, such as PING, are passed over.
    pub fn message(&mut self) -> Vec<u8> {
        loop {
            let (command, body) = self.frame().unwrap();
            if !command {
                return body;
            }
        }
    }

    /// Waits until the other side closes the connection.
    pub fn until_closed(self) {
        assert!(self.ends_within(PATIENCE), "the connection is still open");
    }

    fn frame(&mut self) -> io::Result<(bool, Vec<u8>)> {
        let mut flags = [0];
        self.0.read_exact(&mut flags)?;
        let [flags] = flags;
        let size = if flags & 2 == 0 {
            let mut size = [0; 1];
            self.0.read_exact(&mut size)?;
            usize::from(size[0])
        } else {
            let mut size = [0; 8];
            self.0.read_exact(&mut size)?;
            usize::try_from(u64::from_be_bytes(size)).unwrap()
        };
        let mut body = vec![0; size];
        self.0.read_exact(&mut body)?;
        Ok((flags & 4 != 0, body))
    }
}
