//! Generated configurations of every syntax that is edited in place: an edit changes the lines it
//! must and no other, and preparing twice is preparing once.
//!
//! Each syntax is a table of pieces. A file is generated from any of them in any order, the whole
//! catalogue prepares it, and what is then there must be, byte for byte, the pieces as their table
//! says they become.

mod tables;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::tables::{Piece, Syntax, TABLES};
use super::fixture::Fixture;
use super::{KnownDisk, catalogue};

/// A file of this syntax with these pieces.
fn text<'a>(syntax: &Syntax, pieces: impl Iterator<Item = &'a str>) -> String {
    let mut text = syntax.head.to_owned();
    text.extend(pieces);
    text.push_str(syntax.tail);
    text
}

fn holds(syntax: &Syntax, pieces: &[Piece]) -> Result<(), TestCaseError> {
    let before = text(syntax, pieces.iter().map(|piece| piece.before));
    let after = text(syntax, pieces.iter().map(|piece| piece.after));
    let fixture = Fixture::new(&[syntax.around, &[(syntax.path, &before)]].concat());
    let catalogue = catalogue(KnownDisk::default());
    let rules: Vec<_> = catalogue.iter().map(AsRef::as_ref).collect();
    fixture.fix_once(&rules);
    let once = fixture.files();
    prop_assert_eq!(fixture.text(syntax.path), Some(after), "{}", syntax.path);
    fixture.fix_once(&rules);
    prop_assert_eq!(fixture.files(), once, "{} twice", syntax.path);
    Ok(())
}

#[test]
fn an_edit_changes_only_the_lines_it_must() {
    let failed: Vec<_> = TABLES.iter().filter_map(fails).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn fails(syntax: &Syntax) -> Option<String> {
    let pieces = prop::sample::subsequence(syntax.pieces, 0..=syntax.pieces.len());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&pieces.prop_shuffle(), |pieces| holds(syntax, &pieces));
    result.err().map(|error| error.to_string())
}

#[test]
fn every_table_has_what_goes_and_what_stays() {
    for syntax in TABLES {
        let stays = |piece: &Piece| piece.before == piece.after;
        assert!(syntax.pieces.iter().any(stays), "{}", syntax.path);
        assert!(!syntax.pieces.iter().all(stays), "{}", syntax.path);
    }
}
