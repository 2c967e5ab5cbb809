//! The status page: what `ackline status` and `ackline explain` say, for a browser.
//!
//! It reads and never changes anything. Whoever can reach the address can read it, so it listens on loopback unless it is
//! told otherwise, and `kubectl port-forward` reaches it there. Browsers reach loopback, too, on behalf of any page that
//! they show; `guard` is about those.
//!
//! # Invariants (C-4)
//!
//! - T1: only GET and HEAD are answered, and only to a host that is an address or `localhost`: a name that somebody
//!   else's DNS points here is refused (421).
//! - T2: what another site has a browser ask for is refused (403), and nothing allows another site to read (no CORS).
//! - T3: nothing in the page runs or loads: no script, one style that is named by its hash, no frame, no form.
//! - T4: every word that comes from elsewhere is escaped, also where it looks harmless.

mod guard;
mod html;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::grpc::admin_proto as proto;

/// What is shown.
pub trait Page: Send + Sync + 'static {
    /// How the process stands, and why partitions do not advance.
    fn page(&self) -> (proto::ProcessStatus, proto::ExplainResponse);
}

/// Hash of the style, so that no other one counts.
const STYLE_HASH: &str = "XS0nlLqj9C1dZd8MzGtH7fWDMaignsOFc87hXt+/DVw=";

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Headers of every answer, refusals included.
const FIXED: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

pub(super) fn router(page: Arc<dyn Page>) -> Router {
    Router::new()
        .route("/", get(show))
        .with_state(page)
        .layer(from_fn(guard::admit))
        .layer(axum::middleware::map_response(secure))
}

async fn show(State(page): State<Arc<dyn Page>>) -> Response {
    let (status, explained) = page.page();
    let body = html::render(&status, &explained);
    (StatusCode::OK, [(header::CONTENT_TYPE, HTML)], body).into_response()
}

#[allow(clippy::unused_async)] // the shape is the middleware's
async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests;
