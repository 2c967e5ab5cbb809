use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::Server;
use super::*;

const EVIL: &str = "<script>alert('\"&\u{7}</script>";

struct Fixed(proto::ProcessStatus, proto::ExplainResponse);

impl Page for Fixed {
    fn page(&self) -> (proto::ProcessStatus, proto::ExplainResponse) {
        (self.0.clone(), self.1.clone())
    }
}

/// Every word of it is hostile.
fn hostile() -> Fixed {
    let partition = proto::PartitionStatus {
        topic: EVIL.to_owned(),
        blocked: EVIL.to_owned(),
        aside: 77,
        ..proto::PartitionStatus::default()
    };
    let cause = proto::Cause {
        text: EVIL.to_owned(),
        remedy: EVIL.to_owned(),
        ..proto::Cause::default()
    };
    let status = proto::ProcessStatus {
        host: EVIL.to_owned(),
        version: EVIL.to_owned(),
        group: EVIL.to_owned(),
        not_ready: EVIL.to_owned(),
        partitions: vec![partition.clone()],
        streams: vec![proto::StreamStatus {
            client: EVIL.to_owned(),
            ..proto::StreamStatus::default()
        }],
        ..proto::ProcessStatus::default()
    };
    let explained = proto::ExplainResponse {
        explanations: vec![proto::Explanation {
            status: Some(partition),
            causes: vec![cause],
            stuck: true,
        }],
        process: EVIL.to_owned(),
        stuck: true,
    };
    Fixed(status, explained)
}

/// What the page answers to a request with these headers.
async fn ask(line: &str, headers: &[&str]) -> (u16, String, String) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let mut found = None;
    let act = async {
        found = Some(exchange(address, line, headers).await);
    };
    server.serve_page(Arc::new(hostile()), act).await;
    let answer = found.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn exchange(address: SocketAddr, line: &str, headers: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Control C-4.
#[tokio::test]
async fn hostile_names_are_inert() {
    let (status, _, body) = ask("GET /", &["Host: localhost:7422"]).await;
    assert_eq!(status, 200);
    assert!(!body.contains("<script"), "{body}");
    assert_eq!(
        body.matches("&lt;script&gt;alert(&#39;&quot;&amp;").count(),
        11
    );
}

#[tokio::test]
async fn what_is_set_aside_is_shown_of_each_partition_and_in_all() {
    let (_, _, body) = ask("GET /", &["Host: localhost:7422"]).await;
    assert!(body.contains("<b class=\"warn\">77</b>"), "{body}");
    assert!(body.contains("<td class=\"n\">77<td"), "{body}");
}

/// Control C-4.
#[tokio::test]
async fn a_name_that_points_here_is_refused() {
    for headers in [
        &["Host: evil.example"][..],
        &["Host: localhost.evil.example:7422"],
        &["Host: localhost", "Host: evil.example"],
    ] {
        let (status, _, body) = ask("GET /", headers).await;
        assert!(status == 421 || status == 400, "{headers:?}: {status}");
        assert!(!body.contains("Partitions"));
    }
    let (status, ..) = ask("GET http://evil.example/", &["Host: localhost"]).await;
    assert_eq!(status, 421, "the target's host counts as well");
    let (status, ..) = ask("GET /", &["Host: 127.0.0.1:7422"]).await;
    assert_eq!(status, 200);
}

/// Control C-4.
#[tokio::test]
async fn other_sites_get_nothing() {
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://localhost:8080",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let (status, head, body) = ask("GET /", &["Host: localhost", header]).await;
        assert_eq!(status, 403, "{header}");
        assert!(!body.contains("Partitions"));
        assert!(!head.contains("access-control"), "no CORS");
    }
    for header in [
        "Origin: http://localhost",
        "Sec-Fetch-Site: none",
        "Sec-Fetch-Site: same-origin",
    ] {
        let (status, head, _) = ask("GET /", &["Host: localhost", header]).await;
        assert_eq!(status, 200, "{header}");
        assert!(!head.contains("access-control"), "no CORS");
    }
}

/// Control C-4.
#[tokio::test]
async fn the_page_only_shows() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let (status, ..) = ask(
            &format!("{method} /"),
            &["Host: localhost", "Content-Length: 0"],
        )
        .await;
        assert_eq!(status, 405, "{method}");
    }
    let (status, _, body) = ask("HEAD /", &["Host: localhost"]).await;
    assert_eq!((status, body.as_str()), (200, ""));
    let (status, ..) = ask("GET /metrics", &["Host: localhost"]).await;
    assert_eq!(status, 404);
}

/// Control C-4.
#[tokio::test]
async fn nothing_in_the_page_runs_or_loads() {
    let (_, head, body) = ask("GET /", &["Host: localhost"]).await;
    let policy = format!(
        "content-security-policy: default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        STYLE_HASH.to_ascii_lowercase()
    );
    assert!(head.contains(&policy), "{head}");
    for header in [
        "x-frame-options: deny",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    for loads in [
        "<script", "src=", "href=", "style=", "url(", "@import", "<form", " on",
    ] {
        let tags: String = body
            .split('<')
            .filter_map(|tag| tag.split('>').next())
            .collect();
        assert!(!tags.contains(loads), "{loads}: {tags}");
    }
    assert!(!html::STYLE.contains("url(") && !html::STYLE.contains("@import"));
}

#[test]
fn the_policy_names_the_hash_of_the_style() {
    use base64::Engine as _;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha256(html::STYLE.as_bytes()));
    assert_eq!(STYLE_HASH, hash);
    let empty = base64::engine::general_purpose::STANDARD.encode(sha256(b""));
    assert_eq!(
        empty, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "of nothing"
    );
}

/// SHA-256 as FIPS 180-4 has it. Its constants are fractions of roots of primes.
fn sha256(message: &[u8]) -> Vec<u8> {
    let primes: Vec<u32> = (2..312u32)
        .filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
        .take(64)
        .collect();
    let root = |n: u32, power: f64| {
        // 32 bits of the fraction, exactly: Newton in integers.
        let (shift, n) = (32, u128::from(n));
        let holds = |root: u128| {
            if power == 2.0 {
                root * root <= n << (2 * shift)
            } else {
                root * root * root <= n << (3 * shift)
            }
        };
        let bits = (0..36).rev();
        let root = bits.fold(0u128, |root, bit| {
            let next = root | 1 << bit;
            if holds(next) { next } else { root }
        });
        u32::try_from(root & 0xffff_ffff).unwrap()
    };
    let k: Vec<u32> = primes.iter().map(|n| root(*n, 3.0)).collect();
    let mut h: Vec<u32> = primes.iter().take(8).map(|n| root(*n, 2.0)).collect();
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> = block
            .chunks(4)
            .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
            .collect();
        for at in 16..64 {
            let (a, b) = (w[at - 15], w[at - 2]);
            let low = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let high = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w.push(
                w[at - 16]
                    .wrapping_add(low)
                    .wrapping_add(w[at - 7])
                    .wrapping_add(high),
            );
        }
        let mut v = h.clone();
        for at in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let one = v[7]
                .wrapping_add(s1)
                .wrapping_add(choice)
                .wrapping_add(k[at])
                .wrapping_add(w[at]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            let two = s0.wrapping_add(majority);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(one);
            v[0] = one.wrapping_add(two);
        }
        for (sum, value) in h.iter_mut().zip(v) {
            *sum = sum.wrapping_add(value);
        }
    }
    h.iter().flat_map(|word| word.to_be_bytes()).collect()
}
