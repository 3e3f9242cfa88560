//! Nobody to talk to, unless it is granted.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use skill_sandbox::Ended;

use crate::support::{Scene, contained, text};

/// The host's services that a job may try to reach.
struct Services {
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_unix: UnixListener,
    unix: UnixListener,
    script: String,
}

impl Services {
    fn start(scene: &Scene) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let name = format!("sandbox-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let abstract_unix = UnixListener::bind_addr(&address).expect("an abstract socket");
        let path = scene.neighbour_folder("run").join("service.sock");
        let unix = UnixListener::bind(&path).expect("a socket");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .expect("its mode");
        for listener in [&abstract_unix, &unix] {
            listener.set_nonblocking(true).expect("not blocking");
        }
        tcp.set_nonblocking(true).expect("not blocking");
        udp.set_nonblocking(true).expect("not blocking");
        let script = format!(
            "
import socket
def attempt(name, family, kind, address, send=False):
    try:
        s = socket.socket(family, kind)
        s.settimeout(5)
        if send: s.sendto(b'hello', address)
        else: s.connect(address)
        print(name)
    except OSError: pass
attempt('tcp', socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {tcp}))
attempt('tcp6', socket.AF_INET6, socket.SOCK_STREAM, ('::ffff:127.0.0.1', {tcp}))
attempt('udp', socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', {udp}), True)
attempt('abstract', socket.AF_UNIX, socket.SOCK_STREAM, '\\0{name}')
attempt('unix', socket.AF_UNIX, socket.SOCK_STREAM, '{path}')
for family in (socket.AF_PACKET, socket.AF_VSOCK, 38, socket.AF_BLUETOOTH):
    try:
        socket.socket(family, socket.SOCK_RAW if family == socket.AF_PACKET else socket.SOCK_STREAM)
        print('family', family)
    except OSError: pass
",
            tcp = tcp.local_addr().expect("an address").port(),
            udp = udp.local_addr().expect("an address").port(),
            path = path.display(),
        );
        Self {
            tcp,
            udp,
            abstract_unix,
            unix,
            script,
        }
    }

    /// Nobody has even knocked.
    fn assert_untouched(&self) {
        let untouched = |result: std::io::Result<()>| {
            assert_eq!(
                result.expect_err("nobody came").kind(),
                ErrorKind::WouldBlock
            );
        };
        untouched(self.tcp.accept().map(drop));
        untouched(self.udp.recv(&mut [0; 16]).map(drop));
        untouched(self.abstract_unix.accept().map(drop));
        untouched(self.unix.accept().map(drop));
    }
}

contained!(no_network_and_no_socket_of_the_host_can_be_reached);
async fn no_network_and_no_socket_of_the_host_can_be_reached(scene: Scene) {
    let services = Services::start(&scene);
    let outcome = scene.run(scene.py(&services.script)).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(text(&outcome.stdout.bytes), "");
    services.assert_untouched();
}

contained!(a_granted_network_is_the_internet_and_no_local_service);
async fn a_granted_network_is_the_internet_and_no_local_service(scene: Scene) {
    let services = Services::start(&scene);
    let mut job = scene.py(&services.script);
    job.grants.network = true;
    let outcome = scene.run(job).await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    // The positive control of the test above: the same script does reach them.
    let seen = text(&outcome.stdout.bytes);
    assert!(
        ["tcp\ntcp6\nudp\n", "tcp\nudp\n"].contains(&seen.as_str()),
        "{seen}"
    );
    assert!(services.tcp.accept().is_ok());
    assert!(services.udp.recv(&mut [0; 16]).is_ok());
    assert!(services.abstract_unix.accept().is_err());
    assert!(services.unix.accept().is_err());
    // And the grant does not outlive its job.
    let outcome = scene.run(scene.py(&services.script)).await;
    assert_eq!(text(&outcome.stdout.bytes), "");
}

contained!(pairs_of_sockets_within_the_job_work);
async fn pairs_of_sockets_within_the_job_work(scene: Scene) {
    let script = "
import socket
a, b = socket.socketpair()
a.send(b'hello')
print(b.recv(5).decode())
";
    let outcome = scene.run(scene.py(script)).await;
    assert_eq!(text(&outcome.stdout.bytes), "hello\n");
}
