//! Text -> values, each with the place where it stands. YAML 1.2 (core schema), of which JSON is a part.
//!
//! Anchors, aliases and merge keys work as in Compose files. A key that is there twice is an error: one of the two would be
//! lost without a word. Sizes are limited, so that a few lines of aliases can't become gigabytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use super::finding::{Finding, Pointer};

/// Bytes of a document, at most.
pub const MAX_BYTES: usize = 4 << 20;
/// Values in a document, aliases counted as often as they are used, at most.
pub const MAX_VALUES: usize = 200_000;
/// Levels of lists and maps within each other, at most.
pub const MAX_DEPTH: usize = 64;

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl From<Marker> for Place {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A text that was read: its values, and where they stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    /// The values.
    pub(super) value: Value,
    places: BTreeMap<Pointer, Place>,
}

impl Source {
    /// Reads a text that holds one document.
    ///
    /// # Errors
    /// When it is neither YAML nor JSON, is empty, holds several documents, has a key twice, or exceeds a limit.
    pub(super) fn read(text: &str) -> Result<Self, Finding> {
        if text.len() > MAX_BYTES {
            let problem = format!("the document has {} bytes, more than the {MAX_BYTES} allowed", text.len());
            return Err(Finding::new(Pointer::root(), problem));
        }
        let root = Builder::default().build(text)?;
        let mut places = BTreeMap::new();
        let mut value = root.settle(&Pointer::root(), &mut places);
        if let Value::Object(members) = &mut value {
            // As in Compose files: a place for what is only referred to, by anchors.
            members.retain(|name, _| !name.starts_with("x-"));
        }
        Ok(Self { value, places })
    }

    /// Where a value stands; of one that isn't there, the nearest around it. What may be written as a list of names is found by its
    /// name there too.
    pub(super) fn place(&self, pointer: &Pointer) -> Option<Place> {
        let mut pointer = Some(pointer.clone());
        while let Some(at) = pointer {
            if let Some(place) = self.places.get(&at).or_else(|| self.places.get(&self.item(&at)?)) {
                return Some(*place);
            }
            pointer = at.parent();
        }
        None
    }

    fn item(&self, pointer: &Pointer) -> Option<Pointer> {
        let (list, name) = (pointer.parent()?, pointer.last()?);
        let items = self.value.pointer(&list.to_string())?.as_array()?;
        items.iter().position(|item| item.as_str() == Some(name)).map(|index| list.index(index))
    }
}

#[derive(Debug, Clone)]
struct Node {
    place: Place,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    place: Place,
    node: Node,
}

impl Node {
    fn count(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.node.count()).sum::<usize>(),
        }
    }

    fn depth(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.node.depth()).max().unwrap_or(0),
        }
    }

    fn settle(self, pointer: &Pointer, places: &mut BTreeMap<Pointer, Place>) -> Value {
        places.entry(pointer.clone()).or_insert(self.place);
        match self.kind {
            Kind::Scalar(value) => value,
            Kind::List(items) => {
                let items = items.into_iter().enumerate();
                Value::Array(items.map(|(index, item)| item.settle(&pointer.index(index), places)).collect())
            }
            Kind::Map(entries) => {
                let mut map = Map::new();
                for Entry { key, place, node } in entries {
                    let pointer = pointer.key(&key);
                    // What is said about a member is about its name's line.
                    places.insert(pointer.clone(), place);
                    map.insert(key, node.settle(&pointer, places));
                }
                Value::Object(map)
            }
        }
    }
}

/// A list or map that has begun.
#[derive(Debug)]
struct Open {
    anchor: usize,
    node: Node,
    key: Option<(String, Place)>,
}

#[derive(Debug, Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    values: usize,
}

fn wrong(place: Place, problem: impl Into<String>) -> Finding {
    Finding::new(Pointer::root(), problem).at(place)
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Node, Finding> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                wrong((*error.marker()).into(), format!("neither YAML nor JSON: {}", error.info()))
            })?;
            self.take(event, span.start.into())?;
        }
        self.root.ok_or_else(|| Finding::new(Pointer::root(), "the document is empty").advise(EMPTY))
    }

    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Finding> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(wrong(place, "a second document begins here").advise("put everything into one"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref()).map_err(|problem| wrong(place, problem))?;
                self.count(1, place)?;
                self.add(Node { place, kind: Kind::Scalar(value) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(Kind::List(Vec::new()), anchor, place),
            Event::MappingStart(anchor, _) => self.begin(Kind::Map(Vec::new()), anchor, place),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(wrong(place, "an alias within what it stands for"));
                };
                let (values, depth) = (node.count(), node.depth());
                // Told where it is used: that is what has to be changed.
                let node = Node { place, ..node.clone() };
                self.count(values, place)?;
                self.descend(depth, place)?;
                self.add(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: Kind, anchor: usize, place: Place) -> Result<(), Finding> {
        self.count(1, place)?;
        self.descend(1, place)?;
        self.open.push(Open { anchor, node: Node { place, kind }, key: None });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Finding> {
        match self.open.pop() {
            Some(Open { anchor, node, .. }) => self.add(node, anchor),
            None => Ok(()),
        }
    }

    fn count(&mut self, values: usize, place: Place) -> Result<(), Finding> {
        self.values += values;
        if self.values <= MAX_VALUES {
            return Ok(());
        }
        Err(wrong(place, format!("more than the {MAX_VALUES} values allowed")))
    }

    fn descend(&self, levels: usize, place: Place) -> Result<(), Finding> {
        if self.open.len() + levels <= MAX_DEPTH {
            return Ok(());
        }
        Err(wrong(place, format!("nested deeper than the {MAX_DEPTH} levels allowed")))
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        let place = node.place;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match open.key.take() {
                None => open.key = Some((key(node)?, place)),
                Some((key, at)) if key == "<<" => merge(entries, node, at)?,
                Some((key, place)) => insert(entries, Entry { key, place, node })?,
            },
            Kind::Scalar(_) => {}
        }
        Ok(())
    }
}

const EMPTY: &str =
    "a document that removes everything has to say so: write apiVersion and an empty list of containers";

fn key(node: Node) -> Result<String, Finding> {
    match node.kind {
        Kind::Scalar(Value::String(text)) => Ok(text),
        Kind::Scalar(Value::Number(number)) => Ok(number.to_string()),
        Kind::Scalar(Value::Bool(truth)) => Ok(truth.to_string()),
        _ => Err(wrong(node.place, "a key has to be a word")),
    }
}

/// Marks what came by a merge key, which whatever is written out replaces.
fn insert(entries: &mut Vec<Entry>, entry: Entry) -> Result<(), Finding> {
    if let Some(there) = entries.iter().find(|there| there.key == entry.key && there.place != MERGED) {
        let problem = format!("`{}` is there twice: here, and in line {}", entry.key, there.place.line);
        return Err(wrong(entry.place, problem).advise("remove one of the two"));
    }
    entries.retain(|there| there.key != entry.key);
    entries.push(entry);
    Ok(())
}

/// The place of an entry that came by a merge key: it has none of its own.
const MERGED: Place = Place { line: 0, column: 0 };

/// `<<: *other` (YAML's merge key type): entries that aren't written out are taken over.
fn merge(entries: &mut Vec<Entry>, node: Node, place: Place) -> Result<(), Finding> {
    let maps = match node.kind {
        Kind::List(items) => items,
        kind => vec![Node { place: node.place, kind }],
    };
    for map in maps {
        let Kind::Map(others) = map.kind else {
            return Err(wrong(place, "`<<` takes a map, or a list of maps"));
        };
        for other in others {
            if !entries.iter().any(|there| there.key == other.key) {
                entries.push(Entry { place: MERGED, ..other });
            }
        }
    }
    Ok(())
}

/// YAML 1.2.2, section 10.3.2: what a word without quotes stands for.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let is_text = match tag {
        Some(tag) if tag.is_yaml_core_schema() => tag.suffix == "str",
        Some(tag) => return Err(format!("the tag {}{} has no meaning here", tag.handle, tag.suffix)),
        None => false,
    };
    if is_text || style != ScalarStyle::Plain {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return u64::from_str_radix(hexadecimal, 16).ok().map(Number::from);
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = plain.parse::<u64>() {
        return Some(Number::from(whole));
    }
    if let Ok(whole) = plain.parse::<i64>() {
        return Some(Number::from(whole));
    }
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    plain.parse::<f64>().ok().filter(|_| is_decimal).and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        Source::read(text).unwrap().value
    }

    #[test]
    fn words_become_values() {
        for (text, value) in [
            ("a: 1", json!({"a": 1})),
            ("a: '1'", json!({"a": "1"})),
            ("a: !!str 1", json!({"a": "1"})),
            ("a: 1.5", json!({"a": 1.5})),
            ("a: 1.5.2", json!({"a": "1.5.2"})),
            ("a: 1e3", json!({"a": 1000.0})),
            ("a: -7", json!({"a": -7})),
            ("a: 0x1F", json!({"a": 31})),
            ("a: 22:22", json!({"a": "22:22"})),
            ("a: 0644", json!({"a": 644})),
            ("a: yes", json!({"a": "yes"})),
            ("a: True", json!({"a": true})),
            ("a:", json!({"a": null})),
            ("a: .5", json!({"a": 0.5})),
            ("a: infinity", json!({"a": "infinity"})),
            ("80: [a, b]", json!({"80": ["a", "b"]})),
            ("{\n\t\"a\": [1, {\"b\": null}]\n}", json!({"a": [1, {"b": null}]})),
            (
                "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3",
                json!({"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}),
            ),
            ("x: &x {a: 1}\ny:\n  a: 2\n  <<: *x", json!({"x": {"a": 1}, "y": {"a": 2}})),
            ("x: &x [1]\ny: *x", json!({"x": [1], "y": [1]})),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        for (text, place, problem) in [
            ("", None, "the document is empty"),
            ("# nothing\n", None, "the document is empty"),
            ("a: 1\nb: 2\na: 3", Some((3, 1)), "`a` is there twice: here, and in line 1"),
            ("a: 1\n---\nb: 1", Some((2, 1)), "a second document begins here"),
            ("a: !secret x", Some((1, 4)), "the tag !secret has no meaning here"),
            ("? [a]\n: 1", Some((1, 3)), "a key has to be a word"),
            ("<<: 3", Some((1, 1)), "`<<` takes a map, or a list of maps"),
        ] {
            let finding = Source::read(text).unwrap_err();
            assert_eq!((finding.problem.as_str(), finding.place), (problem, place.map(at)), "{text}");
        }
        let finding = Source::read("a: [1\nb: 2").unwrap_err();
        assert!(finding.problem.starts_with("neither YAML nor JSON: "), "{finding:?}");
        assert!(finding.place.is_some());
    }

    fn at((line, column): (usize, usize)) -> Place {
        Place { line, column }
    }

    #[test]
    fn a_few_lines_cannot_become_gigabytes() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let last = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [last.as_str(); 10].join(", "));
        }
        let problem = Source::read(&bomb).unwrap_err().problem;
        assert_eq!(problem, "more than the 200000 values allowed");
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(Source::read(&deep).unwrap_err().problem, "nested deeper than the 64 levels allowed");
        assert!(Source::read(&" ".repeat(MAX_BYTES + 1)).unwrap_err().problem.contains("4194304"));
        let itself = Source::read("a: &a [*a]").unwrap_err().problem;
        assert!(itself.contains("alias"), "{itself}");
    }

    #[test]
    fn places_are_those_of_names_and_items() {
        let source = Source::read("a:\n  - 1\n  - b: 2\n    c: 3\nd: [one, two]\n").unwrap();
        for (pointer, place) in [
            ("", (1, 1)),
            ("/a", (1, 1)),
            ("/a/0", (2, 5)),
            ("/a/1", (3, 5)),
            ("/a/1/c", (4, 5)),
            ("/a/1/missing/deeper", (3, 5)),
            ("/d/two", (5, 10)),
        ] {
            assert_eq!(source.place(&Pointer::from(pointer)), Some(at(place)), "{pointer}");
        }
    }
}
