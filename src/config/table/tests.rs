use std::collections::BTreeSet;

use super::*;

#[test]
fn every_setting_is_explained_and_has_an_example_that_differs_from_its_default() {
    for setting in settings() {
        assert!(
            setting.doc.ends_with('.') && setting.doc.len() > 10,
            "{}",
            setting.key
        );
        assert!(!setting.example.is_empty(), "{}", setting.key);
        assert!(
            !matches!(setting.preset, Preset::Fixed(default) if default == setting.example),
            "{}",
            setting.key
        );
    }
}

#[test]
fn keys_variables_and_flags_are_unique() {
    let count = settings().count();
    let keys: BTreeSet<&str> = settings().map(|setting| setting.key).collect();
    let variables: BTreeSet<String> = settings().map(Setting::variable).collect();
    assert_eq!((keys.len(), variables.len()), (count, count));
    let flags: Vec<&str> = settings().filter_map(|setting| setting.flag).collect();
    assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
}

#[test]
fn every_section_of_a_key_is_known_and_stands_before_what_it_holds() {
    let known: Vec<&str> = sections().map(|section| section.key).collect();
    for key in settings()
        .map(|setting| setting.key)
        .chain(known.iter().copied())
    {
        if let Some((section, _)) = key.rsplit_once('.') {
            assert!(known.contains(&section), "{section}");
        }
    }
    for (at, key) in known.iter().enumerate() {
        if let Some((parent, _)) = key.rsplit_once('.') {
            assert!(known[..at].contains(&parent), "{key}");
        }
        let inside = format!("{key}.");
        assert!(
            settings().any(|setting| setting.key.starts_with(&inside)),
            "{key} is empty"
        );
    }
}

/// A row that filled the field of another would be seen here twice: once where it does not belong,
/// once where it is missing.
#[test]
fn every_setting_fills_a_field_of_its_own() {
    for setting in settings() {
        let mut config = Config::blank();
        let before: Vec<String> = settings().map(|other| other.kind.shown(&config)).collect();
        let example = Value::Word(setting.example.to_owned());
        let applied = setting.kind.apply(&mut config, &example);
        // Some words are what a blank configuration holds anyway.
        let other = match setting.key {
            "start" | "on_out_of_range" => "latest",
            "order" => "none",
            "commit.metadata" => "true",
            _ => setting.example,
        };
        assert_eq!(applied, Ok(()), "{}", setting.key);
        assert_eq!(
            setting
                .kind
                .apply(&mut config, &Value::Word(other.to_owned())),
            Ok(())
        );
        for (row, before) in settings().zip(before) {
            let changed = row.kind.shown(&config) != before;
            assert_eq!(
                changed,
                row.key == setting.key,
                "{} changed {}",
                setting.key,
                row.key
            );
        }
    }
}
