//! Plans, by example and by carrying them out on a model.

use proptest::prelude::*;

use crate::limits::Limits;
use crate::tree::seal::Seal;
use crate::tree::stamps::Stamp;
use crate::tree::survey::Deviation;
use crate::tree::verify::Problem;

use super::*;

/// A tree of `path content` lines: a path that ends with a slash is a folder, `->` a link, `=` another name for a file.
fn tree(lines: &[(&str, &str)]) -> Index {
    let mut index = Index::new(&Limits::default());
    for (path, content) in lines {
        let (path, folder) = path.strip_suffix('/').map_or((*path, false), |path| (path, true));
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = find(&index, parent).unwrap();
        if let Some(first) = content.strip_prefix('=') {
            let first = find(&index, first).unwrap();
            index.link(parent, name.as_bytes(), 0, first);
            continue;
        }
        let (content, mode) = content.split_once(' ').unwrap_or((content, "644"));
        let attributes = Attributes { mode: u32::from_str_radix(mode, 8).unwrap(), ..Attributes::default() };
        let content = match content.strip_prefix("->") {
            _ if folder => Index::new_directory(),
            Some(target) => Content::Symlink { target: target.as_bytes().into() },
            None => Content::File {
                size: content.len() as u64,
                hash: *blake3::hash(content.as_bytes()).as_bytes(),
            },
        };
        index.insert(parent, name.as_bytes(), 0, attributes, content);
    }
    index
}

fn find(index: &Index, path: &str) -> Option<InodeId> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(Index::ROOT, |at, name| Some(index.child(at, name.as_bytes())?.inode))
}

fn facts(index: &Index) -> Facts {
    Facts::new(&Seal::new(index), None).unwrap()
}

fn record(facts: &Facts, path: &str) -> usize {
    (0..facts.len()).find(|&at| facts.path(at) == path.as_bytes()).unwrap()
}

/// The plan in words; the last one, of the root, is left out.
fn plan(
    base: &[(&str, &str)],
    survey: &[(&str, State)],
    extras: &[&str],
    target: &[(&str, &str)],
) -> Vec<String> {
    let (facts, target) = (facts(&tree(base)), tree(target));
    let survey = Survey {
        deviations: survey
            .iter()
            .map(|&(path, state)| (record(&facts, path), Deviation { problem: Problem::Written, state }))
            .collect(),
        extras: extras
            .iter()
            .map(|path| {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                (record(&facts, parent), name.as_bytes().into())
            })
            .collect(),
    };
    let plan = differences(&facts, &survey, &target, &|_| false);
    let at = |place: &Place| String::from_utf8(target.path(place.0, &place.1)).unwrap();
    let mut words: Vec<_> = plan
        .operations
        .iter()
        .map(|operation| match operation {
            Operation::Salvage { from, .. } => format!("salvage {}", facts.path(*from).escape_ascii()),
            Operation::Remove { place } => format!("remove {}", at(place)),
            Operation::MakeDirectory { place } => format!("directory {}", at(place)),
            Operation::Make { place, .. } => format!("make {}", at(place)),
            Operation::Link { from, place } => format!("link {} {}", at(from), at(place)),
            Operation::Adjust { place, .. } => format!("adjust {}", at(place)),
            Operation::Finish { inode, .. } => format!("finish {}", at(&(*inode, Box::default()))),
        })
        .collect();
    assert_eq!(words.pop().as_deref(), Some("finish "));
    words
}

#[test]
fn what_differs_is_done_and_no_more() {
    let same = [("d/", ""), ("d/f", "1"), ("d/g", "=d/f"), ("l", "->d")];
    assert_eq!(plan(&same, &[], &[], &same), [""; 0]);
    type Lines<'l> = &'l [(&'l str, &'l str)];
    let table: [(Lines<'_>, Lines<'_>, &[&str]); 12] = [
        (&[("f", "1")], &[("f", "2")], &["make f"]),
        (&[("f", "1")], &[("f", "1 600")], &["adjust f"]),
        (&[("f", "1")], &[], &["remove f"]),
        (&[("l", "->a")], &[("l", "->b")], &["make l"]),
        (&[("f", "1")], &[("g", "1")], &["salvage f", "remove f", "make g"]),
        (&[("d/", ""), ("d/f", "1")], &[("d", "->x")], &["remove d", "make d"]),
        (
            &[("d", "1")],
            &[("d/", ""), ("d/f", "1")],
            &["salvage d", "remove d", "directory d", "make d/f", "finish d"],
        ),
        (&[("d/", " 755")], &[("d/", " 700")], &["finish d"]),
        // Sorted by name, not by path.
        (&[("a/", ""), ("a/x", "1"), ("a.b", "2")], &[("a/", ""), ("a/x", "1"), ("a.b", "3")], &["make a.b"]),
        (&[("a", "1"), ("b", "=a")], &[("a", "1"), ("b", "=a"), ("c", "=a")], &["link b c"]),
        // One of two names becomes a file of its own, which is never the same inode.
        (&[("a", "1"), ("b", "=a")], &[("a", "1"), ("b", "1 600")], &["salvage a", "make b"]),
        (&[("a", "1"), ("b", "1")], &[("a", "1"), ("b", "=a")], &["link a b"]),
    ];
    for (base, target, expected) in table {
        assert_eq!(plan(base, &[], &[], target), expected, "{base:?} {target:?}");
    }
}

#[test]
fn what_a_workload_did_is_undone() {
    let tree = [("d/", ""), ("d/f", "1"), ("e/", ""), ("e/g", "2")];
    type Row<'a> = (&'a [(&'a str, State)], &'a [&'a str], &'a [&'a str]);
    let table: [Row<'_>; 6] = [
        (&[], &["d/new", "e/old"], &["remove d/new", "remove e/old", "finish e", "finish d"]),
        (&[("d/f", State::Missing)], &[], &["make d/f", "finish d"]),
        (&[("d/f", State::Other)], &[], &["remove d/f", "make d/f", "finish d"]),
        (&[("d", State::Missing)], &[], &["directory d", "make d/f", "finish d"]),
        (&[("d", State::Other)], &[], &["remove d", "directory d", "make d/f", "finish d"]),
        (&[("d/f", State::Same(Stamp::UNKNOWN))], &[], &[]),
    ];
    for (survey, extras, expected) in table {
        assert_eq!(plan(&tree, survey, extras, &tree), expected, "{survey:?} {extras:?}");
    }
}

/// What a name is on the model's disk: kind with contents, and the inode.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    content: String,
    attributes: Attributes,
    inode: usize,
}

type Disk = BTreeMap<String, Node>;

fn content(inode: &Inode) -> String {
    match &inode.content {
        Content::Directory(_) => "folder".to_owned(),
        Content::File { hash, .. } => format!("file {}", hash[0]),
        Content::Symlink { target } => format!("-> {}", target.escape_ascii()),
        other => format!("{other:?}"),
    }
}

/// A tree on the model's disk.
fn disk(index: &Index) -> Disk {
    let mut disk = Disk::new();
    let mut inodes = HashMap::new();
    let mut pending = vec![(Index::ROOT, String::new())];
    while let Some((id, path)) = pending.pop() {
        let inode = index.get(id).unwrap();
        // Links that are no files are told apart: a seal does not join them.
        let shared = matches!(inode.content, Content::File { .. });
        let fresh = inodes.len() + disk.len();
        let number = if shared { *inodes.entry(id).or_insert(fresh) } else { fresh };
        disk.insert(
            path.clone(),
            Node { content: content(inode), attributes: inode.attributes, inode: number },
        );
        for (name, child) in index.directory(id).into_iter().flat_map(|directory| &directory.children) {
            let name = String::from_utf8(name.to_vec()).unwrap();
            pending.push((child.inode, if path.is_empty() { name } else { format!("{path}/{name}") }));
        }
    }
    // Numbers by their first name, so that two disks can be compared.
    let mut first = HashMap::new();
    for (at, node) in disk.values_mut().enumerate() {
        node.inode = *first.entry(node.inode).or_insert(at);
    }
    disk
}

fn renumbered(mut disk: Disk) -> Disk {
    let mut first = HashMap::new();
    for (at, node) in disk.values_mut().enumerate() {
        node.inode = *first.entry(node.inode).or_insert(at);
    }
    disk
}

/// Takes the steps, and checks that each can be taken.
fn carry_out(disk: &mut Disk, plan: &Plan, target: &Index) {
    let at = |place: &Place| String::from_utf8(target.path(place.0, &place.1)).unwrap();
    let folder = |disk: &Disk, path: &str| {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        assert_eq!(disk[parent].content, "folder", "{path} has no folder");
    };
    for (fresh, operation) in (1_000_000..).zip(&plan.operations) {
        match operation {
            Operation::Salvage { .. } => {}
            Operation::Remove { place } => {
                let path = at(place);
                folder(disk, &path);
                disk.retain(|name, _| *name != path && !name.starts_with(&format!("{path}/")));
            }
            Operation::MakeDirectory { place } => {
                let path = at(place);
                folder(disk, &path);
                let attributes = Attributes::default();
                let node = Node { content: "folder".to_owned(), attributes, inode: fresh };
                assert!(disk.insert(path.clone(), node).is_none(), "{path} is not free");
            }
            Operation::Make { place, inode } => {
                let (path, inode) = (at(place), target.get(*inode).unwrap());
                folder(disk, &path);
                let node = Node { content: content(inode), attributes: inode.attributes, inode: fresh };
                let old = disk.insert(path, node);
                assert!(old.is_none_or(|old| old.content != "folder"), "renamed over a folder");
            }
            Operation::Link { from, place } => {
                let (from, path) = (at(from), at(place));
                folder(disk, &path);
                let node = disk[&from].clone();
                let old = disk.insert(path, node);
                assert!(old.is_none_or(|old| old.content != "folder"), "renamed over a folder");
            }
            Operation::Adjust { place, inode, .. } => {
                let number = disk[&at(place)].inode;
                let attributes = target.get(*inode).unwrap().attributes;
                disk.values_mut()
                    .filter(|node| node.inode == number)
                    .for_each(|node| node.attributes = attributes);
            }
            Operation::Finish { inode, .. } => {
                let path = at(&(*inode, Box::default()));
                disk.get_mut(&path).unwrap().attributes = target.get(*inode).unwrap().attributes;
            }
        }
    }
}

/// A random tree over few names; `choices` decide.
fn random_tree(choices: &[u8]) -> Index {
    let mut index = Index::new(&Limits::default());
    let mut directories = vec![Index::ROOT];
    let mut files: Vec<InodeId> = Vec::new();
    for choice in choices.chunks_exact(4) {
        let parent = directories[usize::from(choice[0]) % directories.len()];
        let name = [b'a' + choice[1] % 5];
        if index.child(parent, &name).is_some() {
            continue;
        }
        let attributes = Attributes { mode: 0o600 + u32::from(choice[3] % 2), ..Attributes::default() };
        let hash = [choice[3] / 2 % 3; 32];
        match choice[2] % 8 {
            0..=2 => directories.push(index.insert(parent, &name, 0, attributes, Index::new_directory())),
            3 => {
                let target = name.as_slice().into();
                index.insert(parent, &name, 0, attributes, Content::Symlink { target });
            }
            4 | 5 if !files.is_empty() => {
                index.link(parent, &name, 0, files[usize::from(choice[3]) % files.len()]);
            }
            _ => files.push(index.insert(parent, &name, 0, attributes, Content::File { size: 1, hash })),
        }
    }
    index
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn the_steps_make_the_target_of_any_base(
        base in proptest::collection::vec(any::<u8>(), 0..120),
        target in proptest::collection::vec(any::<u8>(), 0..120),
        damage in proptest::collection::vec((any::<u16>(), 0u8..4), 0..4),
    ) {
        let (base, target) = (random_tree(&base), random_tree(&target));
        let facts = facts(&base);
        let mut disk = disk(&base);
        let mut survey = Survey::default();
        for (which, how) in damage {
            let at = usize::from(which) % facts.len();
            let path = String::from_utf8(facts.path(at).to_vec()).unwrap();
            if at == 0 || !disk.contains_key(&path) || survey.deviations.contains_key(&at) {
                continue;
            }
            let gone = |disk: &mut Disk| {
                let below = format!("{path}/");
                disk.retain(|name, _| *name != path && !name.starts_with(&below));
            };
            let state = match how {
                0 => {
                    gone(&mut disk);
                    State::Missing
                }
                1 => {
                    gone(&mut disk);
                    let node = Node { content: "folder".to_owned(), attributes: Attributes::default(), inode: 77_777 };
                    disk.insert(path.clone(), node);
                    State::Other
                }
                2 => {
                    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let extra = if parent.is_empty() { "extra".to_owned() } else { format!("{parent}/extra") };
                    let node = Node { content: "extra".to_owned(), attributes: Attributes::default(), inode: 88_888 };
                    disk.insert(extra, node);
                    let place = (record(&facts, parent), b"extra"[..].into());
                    if !survey.extras.contains(&place) {
                        survey.extras.push(place);
                    }
                    continue;
                }
                _ => {
                    let node = disk.get_mut(&path).unwrap();
                    if node.content.starts_with("file") {
                        continue;
                    }
                    node.attributes.mode = 0o111;
                    State::Altered { attributes: node.attributes, xattrs: None, stamp: Stamp::UNKNOWN }
                }
            };
            survey.deviations.insert(at, Deviation { problem: Problem::Written, state });
        }
        // A survey says nothing of what is below something that is gone.
        let usable = survey.usable(&facts);
        let parent = |at: usize| super::super::path::split(facts.path(at)).0.to_vec();
        survey.deviations.retain(|&at, _| at == 0 || usable[record(&facts, std::str::from_utf8(&parent(at)).unwrap())]);
        let plan = differences(&facts, &survey, &target, &|_| false);
        carry_out(&mut disk, &plan, &target);
        prop_assert_eq!(renumbered(disk), self::disk(&target));
        prop_assert_eq!(plan.origins.len() as u64, Seal::new(&target).len());
    }
}
