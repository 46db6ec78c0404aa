//! Random inputs for everything that reads what others have written. Each target begins with texts that are right, and changes
//! them: bytes, words of the language, parts that are cut, doubled or exchanged. What fails is made smaller, and shown.
//!
//! `FREEZER_TEST_FUZZ` is the number of seconds for each target: `FREEZER_TEST_FUZZ=600 cargo test --release --test it fuzz::`
//! is the long form.

mod files;
mod requests;
mod services;

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use crate::support::provided;

/// Cases between two looks at the clock.
const CASES: u32 = 64;
/// Changes of one text, at most.
const CHANGES: usize = 12;
/// No text is made longer than this, in bytes.
const MAX_LENGTH: usize = 1 << 16;

/// Time for each target.
fn budget() -> Duration {
    let seconds = provided("FREEZER_TEST_FUZZ").map_or(3, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// A change of a text, at places that are shares of its length.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Repeat(Index, Index, usize),
    Move(Index, Index, Index),
}

impl Change {
    fn apply(&self, text: &mut Vec<u8>) {
        let at = |place: &Index| place.index(text.len() + 1);
        let part = |one: &Index, other: &Index| at(one).min(at(other))..at(one).max(at(other));
        match self {
            Change::Set(place, byte) => {
                let place = at(place);
                text.splice(place..(place + 1).min(text.len()), [*byte]);
            }
            Change::Flip(place, bit) => {
                let place = at(place);
                if let Some(byte) = text.get_mut(place) {
                    *byte ^= 1 << bit;
                }
            }
            Change::Insert(place, word) => {
                let place = at(place);
                text.splice(place..place, word.iter().copied());
            }
            Change::Cut(one, other) => {
                text.drain(part(one, other));
            }
            Change::Repeat(one, other, times) => {
                let part = part(one, other);
                let more = text[part.clone()].repeat(*times);
                text.splice(part.end..part.end, more);
            }
            Change::Move(one, other, place) => {
                let moved: Vec<u8> = text.drain(part(one, other)).collect();
                let place = place.index(text.len() + 1);
                text.splice(place..place, moved);
            }
        }
        text.truncate(MAX_LENGTH);
    }
}

/// Changes that insert these words now and then.
fn change(words: &'static [&'static str]) -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let word = prop_oneof![
        8 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..4),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
    ];
    prop_oneof![
        1 => (index(), any::<u8>()).prop_map(|(place, byte)| Change::Set(place, byte)),
        1 => (index(), 0..8u8).prop_map(|(place, bit)| Change::Flip(place, bit)),
        4 => (index(), word).prop_map(|(place, word)| Change::Insert(place, word)),
        1 => (index(), index()).prop_map(|(one, other)| Change::Cut(one, other)),
        1 => (index(), index(), 1..20usize).prop_map(|(one, other, times)| Change::Repeat(one, other, times)),
        1 => (index(), index(), index()).prop_map(|(one, other, place)| Change::Move(one, other, place)),
    ]
}

/// A text that was changed; shown as text.
#[derive(Clone)]
struct Text(Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "b\"{}\"", self.0.escape_ascii())
    }
}

fn changed(
    seeds: &'static [&'static str],
    words: &'static [&'static str],
) -> impl Strategy<Value = Text> {
    (select(seeds), vec(change(words), 0..CHANGES)).prop_map(|(seed, changes)| {
        let mut text = seed.as_bytes().to_vec();
        for change in changes {
            change.apply(&mut text);
        }
        Text(text)
    })
}

/// Runs a target for its time; `check` panics where something is wrong.
fn target(
    name: &str,
    seeds: &'static [&'static str],
    words: &'static [&'static str],
    check: impl Fn(&[u8]),
) {
    let texts = changed(seeds, words);
    let (cases, slowest) = (Cell::new(0u64), Cell::new(Duration::ZERO));
    let begun = Instant::now();
    while begun.elapsed() < budget() {
        let mut runner = TestRunner::new(Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        });
        let ran = runner.run(&texts, |Text(text)| {
            let begun = Instant::now();
            check(&text);
            slowest.set(slowest.get().max(begun.elapsed()));
            cases.set(cases.get() + 1);
            Ok(())
        });
        if let Err(failure) = ran {
            panic!("{name}: {failure}");
        }
    }
    eprintln!(
        "{name}: {} cases, the slowest {:?}",
        cases.get(),
        slowest.get()
    );
}

/// The same with texts that are UTF-8: what is not is replaced.
fn text_target(
    name: &str,
    seeds: &'static [&'static str],
    words: &'static [&'static str],
    check: impl Fn(&str),
) {
    target(name, seeds, words, |bytes| {
        check(&String::from_utf8_lossy(bytes))
    });
}
