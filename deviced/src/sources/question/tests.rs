use super::*;

fn digest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

fn accept(versions: &[&str]) -> Vec<Wanted> {
    let wanted = versions.iter().enumerate();
    wanted.map(|(index, text)| Wanted { entry: Some(index), what: Acceptable::read(text).unwrap() }).collect()
}

/// What a registry has: tags with what they stand for; `None` for one that can't be asked.
type Content<'c> = Option<&'c [(&'c str, u8)]>;

/// Asks scripted registries until all is known: the questions in their order, and what was found.
fn play(
    wanted: &[Wanted],
    known: Known,
    registries: &[Content<'_>],
    rejected: &[u8],
) -> (Vec<String>, Vec<Found>, Vec<Disagreement>) {
    let (mut asked, mut log) = (BTreeMap::new(), Vec::new());
    let rejected = |found: &Digest| rejected.iter().any(|number| digest(*number) == *found);
    for _ in 0..200 {
        match next(wanted, &known, &asked, &rejected) {
            Next::Done(result) => return (log, result.found, result.disagreements),
            Next::Ask(questions) => {
                assert!(!questions.is_empty());
                for question in questions {
                    let content = registries[question.place()];
                    let has = |wanted: &dyn Fn(&(&str, u8)) -> bool| {
                        let found = content.unwrap_or_default().iter().find(|one| wanted(one));
                        found.map_or(Reply::No, |(_, number)| Reply::Digest(digest(*number)))
                    };
                    let (line, reply) = match &question {
                        Question::Tags(place) => {
                            let tags = content.unwrap_or_default().iter().map(|(tag, _)| (*tag).to_owned());
                            (format!("{place} tags"), Reply::Tags(tags.collect()))
                        }
                        Question::Tag(place, tag) => {
                            (format!("{place} {tag}"), has(&|(name, _)| name == tag))
                        }
                        Question::Digest(place, wanted) => (
                            format!("{place} {}", &wanted.hex()[..2]),
                            has(&|(_, number)| digest(*number) == *wanted),
                        ),
                    };
                    log.push(line);
                    let reply = if content.is_some() { reply } else { Reply::Gone };
                    assert_eq!(asked.insert(question, reply), None, "nothing is asked twice");
                }
            }
        }
    }
    panic!("it never ends: {log:?}");
}

fn open(places: usize) -> Known {
    Known { places, open: places, said: BTreeMap::new() }
}

#[test]
fn the_best_acceptable_version_is_found_with_few_questions() {
    let sha = format!("sha256:{}", "07".repeat(32));
    let near: Content<'_> = Some(&[("1.4.1", 1), ("1.4.2", 2), ("latest", 2), ("v1.5.0", 5)]);
    let far: Content<'_> = Some(&[("1.4.2", 2), ("1.4.3", 3), ("latest", 3), ("edge", 7)]);
    for (wanted, registries, rejected, questions, found) in [
        // A tag at the head of the list: one question.
        (vec!["1.4.2"], vec![near, far], vec![], vec!["0 1.4.2"], vec![("1.4.2", 2, 0)]),
        // The best version wins over the closest registry.
        (vec!["1.4.3", "1.4.2"], vec![near, far], vec![], vec!["0 1.4.3", "1 1.4.3"], vec![("1.4.3", 3, 1)]),
        // What nobody has is passed over, up to the fallback.
        (
            vec!["9", "8", "latest"],
            vec![near],
            vec![],
            vec!["0 9", "0 8", "0 latest"],
            vec![("latest", 2, 0)],
        ),
        (vec!["9"], vec![near, far], vec![], vec!["0 9", "1 9"], vec![]),
        // A rejected one is said, and the next one taken. Another registry may have the tag on a good one.
        (
            vec!["latest"],
            vec![near, far],
            vec![2],
            vec!["0 latest", "1 latest"],
            vec![("latest", 2, 0), ("latest", 3, 1)],
        ),
        (
            vec!["1.4.2", "1.4.1"],
            vec![near, far],
            vec![2],
            vec!["0 1.4.2", "1 1.4.2", "0 1.4.1"],
            vec![("1.4.2", 2, 0), ("1.4.1", 1, 0)],
        ),
        // A range: all lists, then the best tag at the closest that has it.
        (vec!["~1.4"], vec![near, far], vec![], vec!["0 tags", "1 tags", "1 1.4.3"], vec![("1.4.3", 3, 1)]),
        (vec!["^1"], vec![near, far], vec![], vec!["0 tags", "1 tags", "0 v1.5.0"], vec![("v1.5.0", 5, 0)]),
        (
            vec!["~1.4"],
            vec![near, far],
            vec![3],
            vec!["0 tags", "1 tags", "1 1.4.3", "0 1.4.2"],
            vec![("1.4.3", 3, 1), ("1.4.2", 2, 0)],
        ),
        (
            vec!["^7", "^1"],
            vec![near],
            vec![5, 2, 1],
            vec!["0 tags", "0 v1.5.0", "0 1.4.2", "0 1.4.1"],
            vec![("v1.5.0", 5, 0), ("1.4.2", 2, 0), ("1.4.1", 1, 0)],
        ),
        // Tags before ranges and ranges before tags, as the list has them.
        (
            vec!["9", "~1.4", "latest"],
            vec![near],
            vec![],
            vec!["0 9", "0 tags", "0 1.4.2"],
            vec![("1.4.2", 2, 0)],
        ),
        // A digest: who has it.
        (vec![sha.as_str()], vec![near, far], vec![], vec!["0 07", "1 07"], vec![(sha.as_str(), 7, 1)]),
        (vec![sha.as_str(), "latest"], vec![near], vec![7], vec!["0 latest"], vec![("latest", 2, 0)]),
        // A registry that is gone is asked one thing only.
        (
            vec!["9", "latest"],
            vec![None, far],
            vec![],
            vec!["0 9", "1 9", "1 latest"],
            vec![("latest", 3, 1)],
        ),
        (vec!["^1"], vec![None, far], vec![], vec!["0 tags", "1 tags", "1 1.4.3"], vec![("1.4.3", 3, 1)]),
        (vec!["9", "latest"], vec![None], vec![], vec!["0 9"], vec![]),
        (vec!["latest"], vec![], vec![], vec![], vec![]),
    ] {
        let (asked, got, disagreements) =
            play(&accept(&wanted), open(registries.len()), &registries, &rejected);
        assert_eq!(asked, questions, "{wanted:?} {rejected:?}");
        let got: Vec<_> = got.iter().map(|one| (one.version.as_str(), one.digest, one.place)).collect();
        let found: Vec<_> =
            found.iter().map(|(tag, number, place)| (*tag, digest(*number), *place)).collect();
        assert_eq!(got, found, "{wanted:?} {rejected:?}");
        assert!(disagreements.is_empty());
    }
}

#[test]
fn a_registry_that_has_to_be_left_alone_is_not_asked() {
    let near: Content<'_> = Some(&[("latest", 2)]);
    let known = Known { open: 1, ..open(2) };
    let (asked, found, _) = play(&accept(&["9", "^1", "latest"]), known, &[near, near], &[]);
    assert_eq!(asked, ["0 9", "0 tags", "0 latest"]);
    assert_eq!(found.len(), 1);
}

#[test]
fn no_more_than_some_tags_of_a_range_are_looked_at() {
    let tags: Vec<_> = (0..100).map(|minor| format!("1.{minor}.0")).collect();
    let content: Vec<_> = tags.iter().map(|tag| (tag.as_str(), 1)).collect();
    let (asked, found, _) = play(&accept(&["^1"]), open(1), &[Some(&content)], &[1]);
    assert_eq!(asked.len(), 1 + MOST_OF_A_RANGE);
    assert_eq!((found[0].version.as_str(), found.len()), ("1.99.0", MOST_OF_A_RANGE));
}

#[test]
fn a_copy_that_lags_behind_brings_nothing_back() {
    let says = |number: u8| -> Vec<(&str, u8)> { vec![("latest", number)] };
    for (said, registries, closed, questions, found, disagrees) in [
        // The one that said it last says something new: it has moved.
        (Some((0, 1)), vec![Some(says(2)), Some(says(1))], 0, vec!["0 latest"], (2, 0), false),
        // Another one is the closest now, and says the same.
        (Some((1, 1)), vec![Some(says(1)), Some(says(1))], 0, vec!["0 latest"], (1, 0), false),
        // It says something else: the one before is asked, and its word counts.
        (Some((1, 1)), vec![Some(says(9)), Some(says(1))], 0, vec!["0 latest", "1 latest"], (1, 1), true),
        (Some((1, 1)), vec![Some(says(2)), Some(says(3))], 0, vec!["0 latest", "1 latest"], (3, 1), true),
        // Both have moved.
        (Some((1, 1)), vec![Some(says(2)), Some(says(2))], 0, vec!["0 latest", "1 latest"], (2, 0), false),
        // The one before can't be asked: what it said stands.
        (Some((1, 1)), vec![Some(says(9)), None], 0, vec!["0 latest", "1 latest"], (1, 1), true),
        (Some((1, 1)), vec![Some(says(9)), None], 1, vec!["0 latest"], (1, 1), true),
        (Some((0, 1)), vec![None, Some(says(9))], 0, vec!["0 latest", "1 latest"], (1, 0), true),
        // It has the tag no more.
        (Some((1, 1)), vec![Some(says(9)), Some(vec![])], 0, vec!["0 latest", "1 latest"], (9, 0), false),
        (None, vec![Some(says(9)), Some(says(1))], 0, vec!["0 latest"], (9, 0), false),
    ] {
        let content: Vec<Content<'_>> = registries.iter().map(Option::as_deref).collect();
        let said = said.map(|(place, number)| ("latest".to_owned(), (place, digest(number))));
        let known = Known { places: 2, open: 2 - closed, said: said.clone().into_iter().collect() };
        let (asked, got, disagreements) = play(&accept(&["latest"]), known, &content, &[]);
        let row = format!("{said:?} {registries:?}");
        assert_eq!(asked, questions, "{row}");
        let got: Vec<_> = got.iter().map(|one| (one.digest, one.place)).collect();
        assert_eq!(got, [(digest(found.0), found.1)], "{row}");
        assert_eq!(!disagreements.is_empty(), disagrees, "{row}");
    }
}

#[test]
fn what_is_acceptable_is_in_its_order() {
    let container: Container = serde_json::from_value(serde_json::json!({
        "id": "web", "image": "acme/web", "versions": ["1", "^2"], "fallback": "latest",
    }))
    .unwrap();
    let shown = |tag| -> Vec<_> {
        wanted(&container, tag).iter().map(|one| (one.entry, one.what.to_string())).collect()
    };
    let document = [(Some(0), "1".to_owned()), (Some(1), "^2".to_owned()), (Some(2), "latest".to_owned())];
    assert_eq!(shown(None), document);
    assert_eq!(shown(Some("beta"))[0], (None, "beta".to_owned()));
    assert_eq!(shown(Some("beta"))[1..], document);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    const TAGS: [&str; 6] = ["1.0.0", "1.1.0", "v1.2.0", "2.0.0", "latest", "edge"];
    const WANTED: [&str; 6] = ["1.1.0", "^1", "latest", ">=1, <3", "edge", "~1.0"];

    type Scene = (Vec<Option<BTreeMap<usize, u8>>>, Vec<usize>, BTreeSet<u8>);

    fn scenes() -> impl Strategy<Value = Scene> {
        let content = prop::option::weighted(0.8, prop::collection::btree_map(0..TAGS.len(), 0u8..5, 0..5));
        let wanted = prop::collection::vec(0..WANTED.len(), 1..4);
        (prop::collection::vec(content, 0..4), wanted, prop::collection::btree_set(0u8..5, 0..4))
    }

    proptest! {
        #[test]
        fn the_result_is_that_of_who_asks_everybody_for_everything((content, versions, rejected) in scenes()) {
            let content: Vec<Option<Vec<(&str, u8)>>> = content
                .into_iter()
                .map(|one| one.map(|one| one.into_iter().map(|(tag, number)| (TAGS[tag], number)).collect()))
                .collect();
            let content: Vec<Content<'_>> = content.iter().map(Option::as_deref).collect();
            let wanted = accept(&versions.iter().map(|index| WANTED[*index]).collect::<Vec<_>>());
            let rejected: Vec<u8> = rejected.into_iter().collect();
            let (asked, found, _) = play(&wanted, open(content.len()), &content, &rejected);

            // All that there is, best first, the closest first.
            let mut all = Vec::new();
            for (index, one) in wanted.iter().enumerate() {
                let mut tags: Vec<_> = TAGS.iter().filter_map(|tag| Some((one.what.rank(tag)?, *tag))).collect();
                tags.sort_by(|one, other| other.cmp(one));
                for (_, tag) in tags {
                    for (place, content) in content.iter().enumerate() {
                        let has = content.and_then(|content| content.iter().find(|(name, _)| *name == tag));
                        all.extend(has.map(|(_, number)| (index, tag, *number, place)));
                    }
                }
            }
            let best = all.iter().find(|(_, _, number, _)| !rejected.contains(number));
            let got = found.iter().find(|one| !rejected.iter().any(|number| digest(*number) == one.digest));
            prop_assert_eq!(
                got.map(|one| (one.wanted, one.version.as_str(), one.digest, one.place)),
                best.map(|(index, tag, number, place)| (*index, *tag, digest(*number), *place))
            );
            // The first thing that is asked is enough where it can be.
            if let (Some(&(0, tag, number, 0)), Acceptable::Tag(_)) = (best, &wanted[0].what) {
                prop_assert_eq!(asked, [format!("0 {tag}")], "{}", number);
            }
        }
    }
}
