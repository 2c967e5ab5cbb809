//! Who may see the page: not what another site makes a browser ask for (T1, T2).

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets a request pass, or says why not.
pub(super) async fn admit(request: Request, next: Next) -> Response {
    match judge(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, words)) => (status, format!("{words}\n")).into_response(),
    }
}

type Refusal = (StatusCode, &'static str);

fn judge(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "this page only shows; use the commands of ackline to change something",
        ));
    }
    let host = only(headers, header::HOST);
    let elsewhere = uri
        .authority()
        .is_some_and(|authority| Some(authority.as_str()) != host);
    let Some(host) = host.filter(|host| is_local(host) && !elsewhere) else {
        return Err((
            StatusCode::MISDIRECTED_REQUEST,
            "open this page by its address or as localhost, not by a name",
        ));
    };
    if headers.contains_key(header::ORIGIN) {
        let origin = only(headers, header::ORIGIN);
        let ours = origin.and_then(|origin| origin.strip_prefix("http://")) == Some(host);
        if !ours {
            return Err(FOREIGN);
        }
    }
    let site = headers
        .get_all("sec-fetch-site")
        .iter()
        .all(|site| site == "none" || site == "same-origin");
    if site { Ok(()) } else { Err(FOREIGN) }
}

const FOREIGN: Refusal = (
    StatusCode::FORBIDDEN,
    "another site asks for this page; open it by itself",
);

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a host is an address or `localhost`, with or without a port.
fn is_local(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port));
    }
    let (name, port) = match host.find(':') {
        Some(at) => host.split_at(at),
        None => (host, ""),
    };
    let is_known = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    is_known && (port.is_empty() || is_port(port))
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for host in [
            "localhost",
            "LOCALHOST:7422",
            "127.0.0.1",
            "10.1.2.3:7422",
            "[::1]",
            "[::1]:7422",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:",
            "localhost:x",
            "[::1",
            "[evil]",
            "127.0.0.1:1:2",
            "user@localhost",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
