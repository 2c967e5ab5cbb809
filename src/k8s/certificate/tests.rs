use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::x509::X509;

use super::lease::{Candidate, Decision, LEASE, Seen};
use super::make::make;
use super::plan::{Known, State, Step, TRUSTED_BEFORE_SERVED, VALID, plan};

fn day(number: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((20_000 + number) * 86_400)
}

fn known(authority: &str, expires: SystemTime) -> Known {
    Known {
        authority: authority.to_owned(),
        expires,
    }
}

/// Carries steps out as the keeper does, and says what is served and who is trusted after each.
struct World {
    state: State,
    trusted: String,
    made: u32,
}

impl World {
    fn step(&mut self, now: SystemTime) -> Step {
        let step = plan(&self.state, &self.trusted, now);
        match &step {
            Step::Create => {
                self.state = State {
                    current: Some(self.make(now)),
                    ..State::default()
                };
            }
            Step::Stage => {
                self.state.next = Some(self.make(now));
                self.state.next_trusted_since = None;
            }
            Step::Trust(bundle) => self.trusted.clone_from(bundle),
            Step::NoteTrust => self.state.next_trusted_since = Some(now),
            Step::Serve => {
                self.state.previous = self.state.current.take().map(|known| known.authority);
                self.state.current = self.state.next.take();
                self.state.next_trusted_since = None;
            }
            Step::Rest => {}
        }
        step
    }

    fn make(&mut self, now: SystemTime) -> Known {
        self.made += 1;
        known(&format!("authority {};", self.made), now + VALID)
    }

    fn served(&self) -> &str {
        self.state.current.as_ref().map_or("", |it| &it.authority)
    }
}

#[test]
fn for_years_what_is_served_is_trusted_and_was_for_a_while() {
    let mut world = World {
        state: State::default(),
        trusted: String::new(),
        made: 0,
    };
    let mut trusted_since: Vec<(String, SystemTime)> = Vec::new();
    let mut served_before = String::new();
    let minutes = 3 * 365 * 24 * 60 / 7;
    for turn in 0..minutes {
        let now = day(0) + Duration::from_secs(turn * 7 * 60);
        let step = world.step(now);
        if turn > 3 {
            let served = world.served().to_owned();
            assert!(world.trusted.contains(&served), "turn {turn}: {step:?}");
            if served_before != served && !served_before.is_empty() {
                // T1 and T2.
                let since = trusted_since
                    .iter()
                    .find(|(name, _)| *name == served)
                    .unwrap()
                    .1;
                assert!(now.duration_since(since).unwrap() >= TRUSTED_BEFORE_SERVED);
                assert!(world.trusted.contains(&served_before));
            }
            served_before = served;
        }
        for name in world.trusted.split_inclusive(';') {
            if !trusted_since.iter().any(|(known, _)| known == name) {
                trusted_since.push((name.to_owned(), now));
            }
        }
        assert!(world.trusted.matches(';').count() <= 3);
    }
    assert_eq!(world.made, 1 + 3 * 365 / 60);
}

#[test]
fn what_expired_while_nobody_ran_is_made_again_at_once() {
    let state = State {
        current: Some(known("old;", day(1))),
        ..State::default()
    };
    assert_eq!(plan(&state, "old;", day(2)), Step::Create);
}

#[test]
fn trust_that_somebody_removed_is_told_again() {
    let state = State {
        current: Some(known("ours;", day(80))),
        ..State::default()
    };
    let told = Step::Trust("ours;".to_owned());
    assert_eq!(plan(&state, "", day(1)), told);
    assert_eq!(plan(&state, "ours;", day(1)), Step::Rest);
}

#[test]
fn a_staged_certificate_that_expired_unserved_is_made_again() {
    let state = State {
        current: Some(known("a;", day(80))),
        next: Some(known("b;", day(3))),
        next_trusted_since: Some(day(2)),
        previous: None,
    };
    assert_eq!(plan(&state, "a;b;", day(4)), Step::Stage);
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_up_the_next_certificate() {
    let state = State {
        current: Some(known("a;", day(80))),
        next: Some(known("b;", day(200))),
        next_trusted_since: Some(day(70)),
        previous: None,
    };
    assert_eq!(plan(&state, "a;b;", day(60)), Step::Serve);
}

#[test]
fn a_lease_is_taken_over_when_it_stood_still_for_its_whole_duration() {
    let mut candidate = Candidate::new("b".to_owned());
    let seen = |renewed: &str| Seen {
        holder: "a".to_owned(),
        renewed: renewed.to_owned(),
    };
    let second = Duration::from_secs(1);
    assert_eq!(candidate.decide(seen("1"), second), Decision::Wait);
    assert_eq!(candidate.decide(seen("1"), LEASE), Decision::Wait);
    assert_eq!(candidate.decide(seen("2"), LEASE + second), Decision::Wait);
    assert_eq!(candidate.decide(seen("2"), 2 * LEASE), Decision::Wait);
    assert_eq!(
        candidate.decide(seen("2"), 2 * LEASE + second),
        Decision::Take
    );
    let ours = Seen {
        holder: "b".to_owned(),
        renewed: "3".to_owned(),
    };
    assert_eq!(candidate.decide(ours, 3 * LEASE), Decision::Renew);
    assert_eq!(candidate.decide(Seen::default(), 3 * LEASE), Decision::Take);
}

#[test]
fn a_certificate_is_signed_by_its_authority_and_names_the_service() {
    let names = ["injector.ackline.svc".to_owned(), "127.0.0.1".to_owned()];
    let now = SystemTime::now();
    let identity = make(&names, now, VALID).unwrap();
    let certificate = X509::from_pem(identity.certificate.as_bytes()).unwrap();
    let authority = X509::from_pem(identity.authority.as_bytes()).unwrap();
    let key = authority.public_key().unwrap();
    assert!(certificate.verify(&key).unwrap());
    assert!(authority.verify(&key).unwrap());
    let alternatives = certificate.subject_alt_names().unwrap();
    assert_eq!(alternatives[0].dnsname(), Some("injector.ackline.svc"));
    assert_eq!(alternatives[1].ipaddress(), Some(&[127, 0, 0, 1][..]));
    let left = identity.expires().unwrap().duration_since(now).unwrap();
    assert!(
        left <= VALID && left + Duration::from_secs(2) > VALID,
        "{left:?}"
    );
    identity.acceptor().unwrap();
    assert!(!format!("{identity:?}").contains("PRIVATE"));
}

#[test]
fn a_certificate_with_a_foreign_key_is_not_served() {
    let make = || make(&["a".to_owned()], SystemTime::now(), VALID).unwrap();
    let mut identity = make();
    identity.key = make().key;
    assert!(identity.acceptor().is_err());
}
