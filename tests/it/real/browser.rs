//! The status page in a real browser: what it shows, and what other sites can have of it.

use ackline::grpc::proto::Outcome;
use serde_json::json;

use crate::harness::{
    Browser, Ledger, Line, Logged, Member, Protocol, Reader, Sidecar, Topic, another_site, unique,
    until,
};

/// A sidecar with a parked record, whose key and topic are nothing special, but whose reason is.
async fn with_a_parked_record() -> (Sidecar, Topic<'static>) {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    topic
        .write(
            &ledger,
            [(0, Logged::numbered(0)), (0, Logged::numbered(1))],
        )
        .await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"retry": {"max_attempts": 1}}));
    let sidecar = Sidecar::start(settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let first = reader.take(1).await;
    let reason = "<img src=x onerror=\"document.title='owned'\"><style>*{display:none}</style>";
    reader
        .settle_because(&[first[0].id], Outcome::Retry, reason)
        .await;
    sidecar.until_logged(&["\"parked\""]).await;
    reader.close().await;
    (sidecar, topic)
}

#[tokio::test]
async fn the_status_page_is_what_a_browser_shows_and_nothing_in_it_runs() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let (sidecar, topic) = with_a_parked_record().await;
    let address = format!("http://{}/", sidecar.address_of("status page").await);
    // A partition is told of once it has stood for a second.
    let shown = until("the page says what is stuck", async || {
        let shown = browser.open(&address, &[]).await;
        shown.document.contains("is stuck").then_some(shown)
    })
    .await;
    let expected = [
        format!("<b>{}/0</b> is stuck at offset 0", topic.name),
        format!("ackline parked retry {}/0/0", topic.name),
        "&lt;img src=x onerror=".to_owned(),
    ];
    for text in &expected {
        assert!(shown.document.contains(text), "{text}: {shown:?}");
    }
    assert!(!shown.document.contains("owned</title>"), "{shown:?}");
    assert!(
        !shown.console.contains("Content Security Policy"),
        "its own style counts: {shown:?}"
    );

    // That the browser would have said so.
    let policy = "Content-Security-Policy: style-src 'none'\r\n";
    let refused = another_site(policy, "<style>p{color:red}</style><p>text").await;
    let shown = browser.open(&refused, &[]).await;
    assert!(
        shown.console.contains("Content Security Policy"),
        "{shown:?}"
    );
    sidecar.stop().await;
}

#[tokio::test]
async fn other_sites_learn_nothing_of_the_status_page() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let (sidecar, topic) = with_a_parked_record().await;
    let place = sidecar.address_of("status page").await;
    let port = place.rsplit(':').next().unwrap();

    // A name that somebody else's DNS points to loopback.
    let rebound = browser
        .open(
            &format!("http://rebound.example:{port}/"),
            &["--host-resolver-rules=MAP rebound.example 127.0.0.1"],
        )
        .await;
    assert!(rebound.document.contains("not by a name"), "{rebound:?}");

    // A script of a page of another origin on the same machine, and of another site.
    let script = format!(
        "<title>waits</title><script>fetch('http://{place}/').then(r => r.text())\
         .then(t => document.title = 'read ' + t, e => document.title = 'refused')</script>"
    );
    let elsewhere = another_site("", &script).await;
    let named = elsewhere.replace("127.0.0.1", "elsewhere.example");
    for address in [&elsewhere, &named] {
        let resolve = "--host-resolver-rules=MAP elsewhere.example 127.0.0.1";
        let shown = browser.open(address, &[resolve]).await;
        assert!(
            shown.document.contains("<title>refused</title>"),
            "{shown:?}"
        );
        assert!(!shown.document.contains(&topic.name), "{shown:?}");
    }

    // A page that sends its visitor here, as if it were one of its own.
    let sends = format!("<script>location = 'http://{place}/'</script>");
    let sends = another_site("", &sends).await;
    let named = sends.replace("127.0.0.1", "elsewhere.example");
    let resolve = "--host-resolver-rules=MAP elsewhere.example 127.0.0.1";
    let shown = browser.open(&named, &[resolve]).await;
    assert!(shown.document.contains("another site asks"), "{shown:?}");
    sidecar.stop().await;
}
