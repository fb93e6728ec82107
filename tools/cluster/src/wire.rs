//! One simple query over Postgres' protocol (version 3.0), so that no client library and no `psql` is needed.
//!
//! It supports only trust authentication and text results.

use crate::error::{Error, Tried};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the server may send nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The superuser of every cluster.
pub(crate) const USER: &str = "postgres";

/// The rows of a result: each value as text, `None` for NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// Connects, runs `statement`, and disconnects. The rows of several statements follow each other.
pub(crate) fn query(port: u16, database: &str, statement: &str) -> Result<Rows, Error> {
    let answered = exchange(port, database, statement);
    answered.tried(format_args!("talking to Postgres on port {port}")).flatten()
}

fn exchange(port: u16, database: &str, statement: &str) -> io::Result<Result<Rows, Error>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let hello = format!("\0\x03\0\0user\0{USER}\0database\0{database}\0\0");
    // The first message has no kind byte.
    send(&mut stream, &[], hello.as_bytes())?;
    let (mut rows, mut refused, mut asked) = (Vec::new(), None, false);
    loop {
        let (kind, body) = receive(&mut stream)?;
        match kind {
            b'D' => rows.push(row(&body)?),
            b'E' => {
                let field = |kind| field(&body, kind);
                // FATAL and PANIC end the connection: nothing follows.
                if field(b'V') != "ERROR" {
                    return Ok(Err(Error::Sql { code: field(b'C'), message: field(b'M') }));
                }
                refused = Some(Error::Sql { code: field(b'C'), message: field(b'M') });
            }
            // 0 is `AuthenticationOk`.
            b'R' if body != [0; 4] => return Err(io::Error::other("the server wants a password")),
            b'G' | b'H' | b'W' => return Err(io::Error::other("COPY is not for a simple query")),
            // Ready: the first time after the login, the second time because the query is done.
            b'Z' if !asked => {
                send(&mut stream, b"Q", format!("{statement}\0").as_bytes())?;
                asked = true;
            }
            b'Z' => {
                send(&mut stream, b"X", &[])?;
                return Ok(refused.map_or(Ok(rows), Err));
            }
            _ => {}
        }
    }
}

/// Sends a message: its kind, its length (which includes the length field), its body.
fn send(stream: &mut TcpStream, kind: &[u8], body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    stream.write_all(&[kind, &length.to_be_bytes(), body].concat())
}

fn receive(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

/// Decodes a row: a 16-bit count; then for each value a 32-bit length (-1 is NULL) and the bytes.
fn row(body: &[u8]) -> io::Result<Vec<Option<String>>> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, after) = after.split_at_checked(length.unwrap_or(0)).ok_or(io::ErrorKind::InvalidData)?;
        values.push(length.map(|_| String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Ok(values)
}

/// A field of an error message: its kind, its text, a zero byte.
fn field(body: &[u8], kind: u8) -> String {
    let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&kind));
    String::from_utf8_lossy(found.and_then(|field| field.get(1..)).unwrap_or_default()).into_owned()
}
