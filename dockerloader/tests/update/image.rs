//! Random layers that have a bit of everything, over so few names that they meet.

use crate::random::Random;
use fixtures::archive::{Archive as Layer, Header};

/// A layer. Some are refused: a link to nothing, a file where a folder is needed.
pub(crate) fn layer(random: &mut Random, outside: &str) -> Vec<u8> {
    let mut layer = Layer::new();
    let mut files: Vec<String> = Vec::new();
    for _ in 0..4 + random.below(20) {
        let path = path(random);
        layer = match random.below(16) {
            0..=5 => {
                files.push(path.clone());
                file(layer, random, &path)
            }
            6..=8 => {
                let mode = *random.pick(&[0o755, 0o755, 0o700, 0o555, 0o1777, 0o2755]);
                layer.with(b'5', directory(random), |header| describe(header, random, mode))
            }
            9 | 10 => {
                let target = random.pick(&["d0", "/d1/f0", "../f1", "nowhere", outside]).to_string();
                layer.with(b'2', format!("{path}.l"), |header| header.link = target.as_bytes().to_vec())
            }
            11 if !files.is_empty() => layer.hardlink(format!("{path}.h"), random.pick(&files)),
            12 => layer.fifo(format!("{path}.p")),
            13 => layer.file(whiteout(random, &path), ""),
            14 if random.one_in(3) => layer.file(format!("{}/.wh..wh..opq", directory(random)), ""),
            // What was a file may be a folder or a link now, and the other way round.
            15 if random.one_in(3) => {
                let name = directory(random);
                if random.one_in(2) { layer.file(name, "no folder") } else { layer.symlink(name, "d0") }
            }
            _ => layer.fifo(format!("{path}.p")),
        };
    }
    layer.end()
}

fn whiteout(random: &mut Random, path: &str) -> String {
    let suffix = *random.pick(&["", "", ".l", ".h", ".p"]);
    match path.rsplit_once('/') {
        Some((parent, name)) => format!("{parent}/.wh.{name}{suffix}"),
        None => format!(".wh.{path}{suffix}"),
    }
}

fn directory(random: &mut Random) -> String {
    let depth = 1 + random.below(3);
    (0..depth).map(|_| format!("d{}", random.below(3))).collect::<Vec<_>>().join("/")
}

fn path(random: &mut Random) -> String {
    let name = format!("f{}", random.below(5));
    if random.one_in(4) { name } else { format!("{}/{name}", directory(random)) }
}

fn file(layer: Layer, random: &mut Random, path: &str) -> Layer {
    let contents = contents(random);
    let mut layer = layer;
    if random.one_in(6) {
        let value = vec![b'a' + u8::try_from(random.below(3)).unwrap()];
        layer = layer.pax(&[("SCHILY.xattr.user.note", &value)]);
    }
    let mode = *random.pick(&[0o644, 0o644, 0o755, 0o600, 0o4755, 0o444]);
    let mut header = Header::new(b'0', path);
    describe(&mut header, random, mode);
    layer.entry(header, contents)
}

/// Few contents, so that files are the same often; some are larger than what is held in memory.
fn contents(random: &mut Random) -> Vec<u8> {
    let which = u8::try_from(random.below(6)).unwrap();
    match which {
        0 => Vec::new(),
        5 if random.one_in(4) => {
            let mut large = vec![b'L'; (2 << 20) + 17];
            // Early, late or nowhere.
            let at = *random.pick(&[0, 1 << 20, large.len() - 1]);
            large[at] = *random.pick(b"Lxy");
            large
        }
        _ => vec![b'0' + which; 10],
    }
}

fn describe(header: &mut Header, random: &mut Random, mode: u32) {
    header.mode = mode;
    if random.one_in(5) {
        header.uid = 1000;
        header.gid = 1000;
    }
    header.mtime = 1_000_000_000 + u64::try_from(random.below(2)).unwrap();
}
