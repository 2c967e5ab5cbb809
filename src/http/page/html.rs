//! The page itself.

use std::fmt::Write as _;
use std::time::Duration;

use crate::grpc::admin::age;
use crate::grpc::admin_proto as proto;

/// Seconds until a browser asks again.
const REFRESH_SECONDS: u32 = 5;

/// The one style. Whoever changes it changes its hash, which a test tells.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1d2733;--soft:#5c6b7a;--line:#dde3ea;--back:#f6f8fa;--card:#fff;\
--good:#1a7f4b;--warn:#9a6700;--bad:#b3261e;--badback:#fdecea}\
@media(prefers-color-scheme:dark){:root{--text:#dfe6ee;--soft:#93a1b0;--line:#2c3743;--back:#12181f;\
--card:#1a222b;--good:#56c98a;--warn:#e0b24a;--bad:#ff8a80;--badback:#33201f}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}\
main{max-width:72rem;margin:0 auto;padding:2rem 1.25rem 4rem}\
h1{font-size:1.35rem;margin:0}h2{font-size:1rem;margin:2rem 0 .6rem;color:var(--soft);font-weight:600}\
p{margin:.25rem 0}.soft{color:var(--soft)}\
.facts{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.25rem}\
.fact{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.6rem .9rem;min-width:8.5rem}\
.fact b{display:block;font-size:1.15rem;font-variant-numeric:tabular-nums}\
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.6rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.45rem .8rem;white-space:nowrap;border-top:1px solid var(--line)}\
tr:first-child th{border-top:0}th{font-weight:600;color:var(--soft);font-size:.85rem}\
.n{text-align:right;font-variant-numeric:tabular-nums}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad);font-weight:600}\
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem;margin:.5rem 0;\
overflow-wrap:anywhere}\
.card.bad{background:var(--badback);border-color:var(--bad);color:var(--text);font-weight:400}\
code{font:.9em ui-monospace,monospace}";

/// Renders the page.
pub(super) fn render(status: &proto::ProcessStatus, explained: &proto::ExplainResponse) -> String {
    let mut page = String::with_capacity(16 << 10);
    let host = escape(&status.host);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\
         <title>ackline · {host}</title><style>{STYLE}</style></head><body><main>\
         <h1>{host}</h1>\
         <p class=\"soft\">group {} · ackline {} · up {}. This process only; other members of the group have \
         partitions of their own.</p>",
        escape(&status.group),
        escape(&status.version),
        time(status.uptime.as_ref()),
    );
    facts(&mut page, status);
    explanations(&mut page, explained);
    partitions(&mut page, status, explained);
    streams(&mut page, status);
    page.push_str("</main></body></html>\n");
    page
}

fn facts(page: &mut String, status: &proto::ProcessStatus) {
    let (class, standing) = if status.ending {
        ("warn", "ending")
    } else if status.drain() != proto::DrainState::Unspecified {
        ("warn", "drained")
    } else if !status.not_ready.is_empty() {
        ("bad", "not ready")
    } else if status.joined {
        ("good", "in the group")
    } else {
        ("soft", "not in the group")
    };
    let committed = match &status.last_commit_age {
        Some(age) => format!("{} ago", time(Some(age))),
        None => "none yet".to_owned(),
    };
    let aside: u64 = status.partitions.iter().map(|at| at.aside).sum();
    let facts = [
        (standing.to_owned(), "standing", class),
        (status.partitions.len().to_string(), "partitions", ""),
        (status.streams.len().to_string(), "streams", ""),
        (status.in_flight.to_string(), "in flight", ""),
        (
            aside.to_string(),
            "set aside",
            if aside == 0 { "" } else { "warn" },
        ),
        (
            format!(
                "{} / {} MiB",
                status.held_bytes >> 20,
                status.budget_bytes >> 20
            ),
            "held",
            "",
        ),
        (committed, "last commit", ""),
    ];
    page.push_str("<div class=\"facts\">");
    for (value, name, class) in facts {
        let value = escape(&value);
        let _ = write!(
            page,
            "<div class=\"fact\"><b class=\"{class}\">{value}</b><span class=\"soft\">{name}</span></div>"
        );
    }
    page.push_str("</div>");
    if !status.not_ready.is_empty() {
        let _ = write!(
            page,
            "<div class=\"card bad\">Not ready: {}</div>",
            escape(&status.not_ready)
        );
    }
}

fn explanations(page: &mut String, explained: &proto::ExplainResponse) {
    let held_up = explained.explanations.iter().filter(|explanation| {
        let status = explanation.status.as_ref();
        let stands_for = status.and_then(|status| status.stands_for.as_ref());
        // One that stands for a moment only is one that advances.
        let stands = explanation.stuck || stands_for.is_some_and(|time| time.seconds > 0);
        stands && !explanation.causes.is_empty()
    });
    let mut any = false;
    for explanation in held_up {
        if !std::mem::replace(&mut any, true) {
            page.push_str("<h2>Why partitions do not advance</h2>");
        }
        let at = explanation.status.clone().unwrap_or_default();
        let (class, verdict) = if explanation.stuck {
            ("card bad", "is stuck")
        } else {
            ("card", "waits")
        };
        let offset = at
            .watermark
            .map(|offset| format!(" at offset {offset}"))
            .unwrap_or_default();
        let _ = write!(
            page,
            "<div class=\"{class}\"><b>{}/{}</b> {verdict}{offset}, for {}",
            escape(&at.topic),
            at.partition,
            time(at.stands_for.as_ref()),
        );
        for cause in &explanation.causes {
            let _ = write!(page, "<p>{}</p>", escape(&cause.text));
            if !cause.remedy.is_empty() {
                let _ = write!(
                    page,
                    "<p class=\"soft\">→ <code>{}</code></p>",
                    escape(&cause.remedy)
                );
            }
        }
        page.push_str("</div>");
    }
    if !explained.process.is_empty() && !any {
        let _ = write!(
            page,
            "<div class=\"card\">{}</div>",
            escape(&explained.process)
        );
    }
}

fn partitions(
    page: &mut String,
    status: &proto::ProcessStatus,
    explained: &proto::ExplainResponse,
) {
    page.push_str("<h2>Partitions</h2>");
    if status.partitions.is_empty() {
        page.push_str("<p class=\"soft\">None is assigned to this process.</p>");
        return;
    }
    page.push_str(
        "<div class=\"scroll\"><table><tr><th>topic<th class=\"n\">partition<th class=\"n\">committed\
         <th class=\"n\">end<th class=\"n\">lag<th class=\"n\">unfinished<th class=\"n\">in flight\
         <th class=\"n\">aside<th class=\"n\">stands<th>state</tr>",
    );
    let number = |number: Option<i64>| number.map_or("–".to_owned(), |number| number.to_string());
    for at in &status.partitions {
        let stuck = explained.explanations.iter().any(|explanation| {
            explanation.stuck
                && explanation.status.as_ref().is_some_and(|status| {
                    (&status.topic, status.partition) == (&at.topic, at.partition)
                })
        });
        let (class, state) = match (stuck, at.blocked.as_str(), at.lag) {
            (true, "", _) => ("bad", "stuck"),
            (true, blocked, _) => ("bad", blocked),
            (false, "", Some(0)) => ("good", "caught up"),
            (false, "", _) => ("good", "flowing"),
            (false, blocked, _) => ("warn", blocked),
        };
        let _ = write!(
            page,
            "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}\
             <td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"{class}\">{}</tr>",
            escape(&at.topic),
            at.partition,
            number(at.committed),
            number(at.end),
            at.lag.map_or("–".to_owned(), |lag| lag.to_string()),
            at.unfinished,
            at.in_flight,
            at.aside,
            time(at.stands_for.as_ref()),
            escape(state),
        );
    }
    page.push_str("</table></div>");
}

fn streams(page: &mut String, status: &proto::ProcessStatus) {
    page.push_str("<h2>Streams</h2>");
    if status.streams.is_empty() {
        page.push_str("<p class=\"soft\">No application has one open.</p>");
        return;
    }
    page.push_str(
        "<div class=\"scroll\"><table><tr><th class=\"n\">stream<th>client<th class=\"n\">in flight\
         <th class=\"n\">KiB<th class=\"n\">oldest<th></tr>",
    );
    for at in &status.streams {
        let oldest = at.oldest_age.as_ref();
        let _ = write!(
            page,
            "<tr><td class=\"n\">{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"warn\">{}</tr>",
            at.stream,
            escape(&at.client),
            at.in_flight,
            at.in_flight_bytes >> 10,
            oldest.map_or("–".to_owned(), |age| time(Some(age))),
            if at.open { "" } else { "disconnected" },
        );
    }
    page.push_str("</table></div>");
}

/// Text that is nothing but text, in elements and in attributes (T4).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn time(time: Option<&prost_types::Duration>) -> String {
    let time = time.and_then(|time| Duration::try_from(*time).ok());
    time.map_or("–".to_owned(), age)
}
