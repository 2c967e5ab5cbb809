//! The answers of what claims to be a ZooKeeper server.

use std::time::Duration;

use ackline::store::{
    OffsetStore as _, Place, Position, StoreError, Write, ZooKeeper, ZooKeeperSettings,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::first;

/// An even first byte makes a server that greets as it should; then each answer is a byte that stands for an error, its
/// length in two bytes, and its body. Otherwise all the rest is sent as it is.
pub(crate) fn zookeeper(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = async {
            let mut input = input;
            let polite = first(&mut input).is_multiple_of(2);
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever hangs up, hangs up.
                let _ = serve(stream, polite, &mut input).await;
            }
        };
        tokio::select! {
            () = ask(address) => {}
            () = server => {}
        }
    });
}

async fn serve(mut stream: TcpStream, polite: bool, input: &mut &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    request(&mut stream).await?;
    if !polite {
        stream.write_all(input).await?;
        return stream.shutdown().await;
    }
    let greeting = [&[0; 4][..], &4000_i32.to_be_bytes(), &[7; 8], &[0; 5]].concat();
    stream.write_all(&framed(&greeting)).await?;
    loop {
        let asked = request(&mut stream).await?;
        let error = -i32::from(first(input));
        let length = usize::from(first(input)) << 8 | usize::from(first(input));
        let (body, rest) = input.split_at(length.min(input.len()));
        let answer = [
            &asked[..4.min(asked.len())],
            &[0; 8],
            &error.to_be_bytes(),
            body,
        ]
        .concat();
        if input.is_empty() {
            return stream.shutdown().await;
        }
        *input = rest;
        stream.write_all(&framed(&answer)).await?;
    }
}

async fn request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut request = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut request).await?;
    Ok(request)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap();
    [&length.to_be_bytes()[..], frame].concat()
}

/// What a sidecar asks, in its order.
async fn ask(address: String) {
    let mut store = ZooKeeper::new(ZooKeeperSettings {
        servers: vec![address],
        root: String::new(),
        session_timeout: Duration::from_secs(60),
        credentials: None,
        tls: None,
        group: "group".to_owned(),
        claimed_by: "pod".to_owned(),
    });
    let place = Place {
        topic: "topic".to_owned(),
        partition: 0,
    };
    let fence = match store.claim(std::slice::from_ref(&place)).await {
        Ok(claims) => {
            let [claim] = &claims[..] else {
                panic!("{} claims for one place", claims.len());
            };
            assert_eq!(claim.place, place);
            assert!(claim.position.as_ref().is_none_or(|it| it.offset >= 0));
            claim.fence
        }
        Err(StoreError::Away(_) | StoreError::Refused(_)) => 1,
    };
    if let Ok(stored) = store.metadata(&["topic".to_owned()]).await {
        assert!(stored.iter().all(|(of, _)| of.topic == place.topic));
    }
    let write = Write {
        place: place.clone(),
        fence,
        position: Position {
            offset: 10,
            leader_epoch: None,
            metadata: "metadata".to_owned(),
        },
    };
    if let Ok(written) = store.write(&[write]).await {
        assert!(written.is_empty() || written == [place]);
    }
}
