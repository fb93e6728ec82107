//! A way to the server that a test can lengthen, block, cut and lead elsewhere: TCP on 127.0.0.1, a thread a direction.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How often a thread that has nothing to do looks around.
const GLANCE: Duration = Duration::from_millis(5);

/// Dropped, it cuts everything.
pub(crate) struct Forwarder {
    port: u16,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    target: AtomicU16,
    /// How long each piece is on its way.
    delay_ms: AtomicU64,
    /// Nothing moves.
    blocked: AtomicBool,
    /// Connections are numbered; those below this number lead nowhere any more.
    lost: AtomicU64,
    ended: AtomicBool,
}

impl Forwarder {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("it can be asked without waiting");
        let own = listener.local_addr().expect("it has an address").port();
        let way = Arc::new(Way { target: AtomicU16::new(port), ..Way::default() });
        let accepting = Arc::clone(&way);
        spawn(move || accept(&listener, &accepting));
        Self { port: own, way }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where connections lead from now on. Those that are there stay.
    pub(crate) fn lead_to(&self, port: u16) {
        self.way.target.store(port, SeqCst);
    }

    /// What existing connections carry is lost from now on, without an error at either end: as if the other machine
    /// had lost its power.
    pub(crate) fn lose(&self) {
        self.way.lost.store(u64::MAX, SeqCst);
        // The number of the next one is not known here: it is set by the thread that accepts.
        while self.way.lost.load(SeqCst) == u64::MAX {
            sleep(GLANCE);
        }
    }

    /// Each piece takes so long, in each direction.
    pub(crate) fn delay(&self, ms: u64) {
        self.way.delay_ms.store(ms, SeqCst);
    }

    /// Whether nothing moves. What is under way arrives afterwards.
    pub(crate) fn block(&self, blocked: bool) {
        self.way.blocked.store(blocked, SeqCst);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.way.ended.store(true, SeqCst);
    }
}

fn accept(listener: &TcpListener, way: &Arc<Way>) {
    let mut number = 0;
    while !way.ended.load(SeqCst) {
        let _ = way.lost.compare_exchange(u64::MAX, number, SeqCst, SeqCst);
        match listener.accept() {
            Ok((client, _)) => {
                join(client, number, way);
                number += 1;
            }
            Err(_) => sleep(GLANCE),
        }
    }
}

/// A client that finds no server is let go.
fn join(client: TcpStream, number: u64, way: &Arc<Way>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", way.target.load(SeqCst))) else { return };
    for end in [&client, &server] {
        end.set_nonblocking(false).and_then(|()| end.set_nodelay(true)).expect("it is a socket");
        end.set_read_timeout(Some(GLANCE)).expect("it is a socket");
    }
    let ends = (client.try_clone().expect("another handle"), server.try_clone().expect("another handle"));
    let (there, back) = (Arc::clone(way), Arc::clone(way));
    spawn(move || carry(client, server, number, &there));
    spawn(move || carry(ends.1, ends.0, number, &back));
}

fn carry(mut from: TcpStream, mut to: TcpStream, number: u64, way: &Way) {
    let mut bytes = [0; 1 << 16];
    while !way.ended.load(SeqCst) {
        let read = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        sleep(Duration::from_millis(way.delay_ms.load(SeqCst)));
        while !way.ended.load(SeqCst) && (way.blocked.load(SeqCst) || number < way.lost.load(SeqCst)) {
            sleep(GLANCE);
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // The end of a lost connection is not passed on.
    while number < way.lost.load(SeqCst) && !way.ended.load(SeqCst) {
        sleep(GLANCE);
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
