//! Whatever is written, loading answers: no panic, no flood, no secret.

use proptest::prelude::*;

use super::*;
use crate::config::value::Value;

#[test]
fn documents_built_to_exhaust_are_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e]\n";
    let deep = format!("topics: {}", "[".repeat(100_000));
    let wide = "x".repeat(2 << 20);
    for yaml in [bomb, deep.as_str(), wide.as_str()] {
        let text = load(yaml, &[], &[]).unwrap_err();
        assert!(text.len() < 10_000, "{} bytes of message", text.len());
    }
}

#[test]
fn hostile_values_cannot_forge_messages() {
    let text = load(LEAST, &[], &[("start", "a\n  forged = 1\n\u{1b}[2J")]).unwrap_err();
    assert!(
        !text.contains("\n  forged") && !text.contains('\u{1b}'),
        "{text}"
    );
    let text = load("\"grup\\n  forged\": 1\n", &[], &[]).unwrap_err();
    assert!(!text.contains("\n  forged"), "{text}");
}

proptest! {
    #[test]
    fn any_text_for_any_setting_is_taken_or_refused_with_a_remedy(
        text in "\\PC{0,40}|[0-9]{1,25}(ms|s|m|h|MiB|B)?|unix:/.{0,10}|[a-z,=.:]{0,20}",
    ) {
        for setting in table::settings() {
            for value in [Value::Word(text.clone()), Value::Text(text.clone()), Value::Number(text.clone())] {
                let mut config = Config::blank();
                match setting.kind.apply(&mut config, &value) {
                    Ok(()) => {
                        let shown = setting.kind.shown(&config);
                        prop_assert!(!shown.contains('\n'), "{shown}");
                    }
                    Err(faults) => {
                        prop_assert!(!faults.is_empty());
                        for fault in faults {
                            prop_assert!(!fault.what.is_empty() && !fault.remedy.is_empty());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn any_document_is_read_or_refused(yaml in "(\\PC|\n|: |- |  ){0,60}") {
        if let Err(text) = load(&yaml, &[], &[]) {
            prop_assert!(text.contains("->"));
        }
    }

    #[test]
    fn texts_that_are_printed_read_back(id in "\\PC{1,30}") {
        let flags = [("group.id", id.as_str())];
        if let Ok(config) = load(LEAST, &[], &flags) {
            prop_assert_eq!(valid(&print(&config)).group.id, id);
        }
    }
}
