//! A pooler in transaction mode, as small as one can be: each transaction of a client gets whatever session
//! is free, the one that was used last first. What PgBouncer does, without what makes it useful.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Sessions = Arc<Mutex<Vec<TcpStream>>>;

/// Starts one before the server on this port; its own port.
pub async fn start(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sessions = Sessions::default();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A client that breaks off ends its own task only.
            tokio::spawn(serve(client, server, Arc::clone(&sessions)));
        }
    });
    port
}

async fn serve(mut client: TcpStream, server: u16, sessions: Sessions) -> std::io::Result<()> {
    let startup = loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        // A question about TLS: no. What follows is the startup itself.
        if body[..4] == 80_877_103_u32.to_be_bytes() {
            client.write_all(b"N").await?;
        } else {
            break [&length.to_be_bytes()[..], &body].concat();
        }
    };
    // Authentication is fine, and it is the client's turn.
    client.write_all(b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\0\0\0\0\0Z\0\0\0\x05I").await?;
    loop {
        let mut next = read(&mut client).await?;
        if next.0 == b'X' {
            return Ok(());
        }
        let free = sessions.lock().unwrap().pop();
        let mut session = match free {
            Some(session) => session,
            None => connect(server, &startup).await?,
        };
        // One transaction.
        loop {
            session.write_all(&next.1).await?;
            if matches!(next.0, b'Q' | b'S') && answer(&mut session, Some(&mut client)).await? == b'I' {
                break;
            }
            next = read(&mut client).await?;
        }
        sessions.lock().unwrap().push(session);
    }
}

async fn connect(server: u16, startup: &[u8]) -> std::io::Result<TcpStream> {
    let mut session = TcpStream::connect(("127.0.0.1", server)).await?;
    session.write_all(startup).await?;
    answer(&mut session, None).await?;
    Ok(session)
}

/// Passes on what the server says until it is ready; whether it is in a transaction.
async fn answer(session: &mut TcpStream, mut client: Option<&mut TcpStream>) -> std::io::Result<u8> {
    loop {
        let (kind, message) = read(session).await?;
        if let Some(client) = client.as_deref_mut() {
            client.write_all(&message).await?;
        }
        if kind == b'Z' {
            return Ok(message[5]);
        }
    }
}

async fn read(from: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let (kind, length) = (from.read_u8().await?, from.read_u32().await?);
    let mut message = vec![0; length as usize + 1];
    message[0] = kind;
    message[1..5].copy_from_slice(&length.to_be_bytes());
    from.read_exact(&mut message[5..]).await?;
    Ok((kind, message))
}
