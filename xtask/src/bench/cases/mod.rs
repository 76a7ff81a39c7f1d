//! What is measured: each case by its name.

mod cold;
mod lanes;
mod resume;
mod unchanged;
mod update;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::image::{Chain, Image, Recipe, Scale, Works};
use super::link::{Link, Speed};
use super::measure::{Cost, measure};
use super::registry::Registry;
use super::report::Table;
use super::tools::{Target, Tool};
use super::volume::{FileSystem, Volume};
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};

/// One question, answered by one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    kind: Kind,
    recipe: Recipe,
    scale: Scale,
    /// Over a slow line.
    slow: bool,
    /// With layers that skopeo has compressed as zstd:chunked.
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Into an empty place.
    Cold,
    /// A look that finds nothing new.
    Unchanged,
    /// From one version to the next.
    Update,
    /// Once more, after everything was killed in the middle.
    Resume,
}

const fn case(name: &'static str, kind: Kind, recipe: Recipe) -> Case {
    Case { name, kind, recipe, scale: Scale::Full, slow: false, chunked: false }
}

const fn slow(case: Case) -> Case {
    Case { scale: Scale::Small, slow: true, ..case }
}

const fn chunked(case: Case) -> Case {
    Case { chunked: true, ..case }
}

pub(super) const CASES: [Case; 14] = [
    case("cold-many", Kind::Cold, Recipe::Many),
    case("cold-large", Kind::Cold, Recipe::Large),
    case("cold-layers", Kind::Cold, Recipe::Layers),
    case("unchanged", Kind::Unchanged, Recipe::Many),
    case("top", Kind::Update, Recipe::Top),
    case("rebuilt", Kind::Update, Recipe::Rebuilt),
    chunked(case("rebuilt-chunked", Kind::Update, Recipe::Rebuilt)),
    case("in-place", Kind::Update, Recipe::InPlace),
    case("base", Kind::Update, Recipe::Base),
    case("resume", Kind::Resume, Recipe::Large),
    slow(case("slow-cold", Kind::Cold, Recipe::Many)),
    slow(case("slow-update", Kind::Update, Recipe::Rebuilt)),
    slow(chunked(case("slow-cold-chunked", Kind::Cold, Recipe::Many))),
    slow(chunked(case("slow-update-chunked", Kind::Update, Recipe::Rebuilt))),
];

/// 20 Mbit/s, 80 ms there and back.
const SLOW: Speed = Speed { rate: 2.5e6, round_trip: Duration::from_millis(80) };
/// How often is enough for what differs little, or is far behind.
const FEW: u32 = 3;

/// For those who only try it out.
const QUICK: Speed = Speed { rate: 2e7, round_trip: Duration::from_millis(10) };

/// What all cases need.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) loader: PathBuf,
    /// Whether this build of the supervisor can be told a method.
    pub(super) methods: bool,
    pub(super) works: Works,
    pub(super) registry: Registry,
    pub(super) rounds: u32,
    /// Only to try everything out.
    pub(super) quick: bool,
    /// Where the files of file systems are made.
    pub(super) volumes: PathBuf,
    /// Where runs write to instead of a new ext4.
    pub(super) place: Option<PathBuf>,
    pub(super) log: PathBuf,
}

impl Case {
    /// Measures it.
    pub(super) fn run(&self, bench: &mut Bench) -> Result<Table> {
        eprintln!("case {}", self.name);
        match self.kind {
            Kind::Cold => cold::run(self, bench),
            Kind::Unchanged => unchanged::run(self, bench),
            Kind::Update => update::run(self, bench),
            Kind::Resume => resume::run(self, bench),
        }
    }

    fn chain(&self, bench: &Bench, versions: u64) -> Result<Chain> {
        let scale = if bench.quick { Scale::Tiny } else { self.scale };
        let chain = bench.works.chain(self.recipe, scale, versions)?;
        let chain = if self.chunked { bench.chunked(&chain)? } else { chain };
        // Nobody shall be the first who reads them from the disk.
        for blob in chain.versions.iter().flat_map(|image| &image.blobs) {
            let read = File::open(blob).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
            read.context(format_args!("read {}", blob.display()))?;
        }
        Ok(chain)
    }

    /// On a slow line the line decides, and all rounds are alike.
    fn rounds(&self, bench: &Bench) -> u32 {
        if self.slow { bench.rounds.min(FEW) } else { bench.rounds }
    }

    fn link(&self, bench: &Bench) -> Result<Option<Link>> {
        let speed = if bench.quick { QUICK } else { SLOW };
        self.slow.then(|| Link::lay(bench.registry.address(), speed)).transpose()
    }
}

impl Bench {
    /// An empty file system.
    fn volume(&self, kind: FileSystem) -> Result<Volume> {
        match &self.place {
            Some(place) if kind == FileSystem::Ext4 => Volume::within(place),
            _ => Volume::make(kind, &self.volumes, if self.quick { 2 << 30 } else { 40 << 30 }),
        }
    }

    /// Where tools find the registry.
    fn address(&self, link: Option<&Link>) -> SocketAddr {
        link.map_or(self.registry.address(), Link::address)
    }

    /// Lets the tag point to a version, and says how it is called.
    fn target<'i>(&self, link: Option<&Link>, repository: &str, image: &'i Image) -> Result<Target<'i>> {
        self.works.point(repository, image)?;
        Ok(Target::new(self.address(link), repository, image))
    }

    /// Runs what is measured.
    fn observe(
        &mut self,
        tool: &dyn Tool,
        commands: Vec<Command>,
        volume: &Volume,
        link: Option<&Link>,
    ) -> Result<Cost> {
        let (from, before) = (self.registry.mark()?, link.map(Link::fetched));
        let mut cost = measure(commands, tool.daemon(), volume, &self.log)?;
        let to = self.registry.mark()?;
        cost.traffic = self.registry.traffic(&from, &to);
        if let Some((after, before)) = link.map(Link::fetched).zip(before) {
            cost.traffic.sent = after - before;
        }
        Ok(cost)
    }

    /// Runs what has to happen before something can be measured.
    fn prepare(
        &self,
        tool: &mut dyn Tool,
        target: &Target<'_>,
        volume: &Volume,
        link: Option<&Link>,
    ) -> Result {
        let slow = |slow| link.into_iter().for_each(|link| link.set_slow(slow));
        slow(false);
        let done = measure(tool.pull(target), tool.daemon(), volume, &self.log);
        slow(true);
        done?;
        tool.settle()
    }

    /// The same versions with layers in zstd:chunked, made by skopeo.
    fn chunked(&self, chain: &Chain) -> Result<Chain> {
        let repository = format!("{}-chunked", chain.repository);
        let mut versions = Vec::new();
        for (number, image) in chain.versions.iter().enumerate() {
            let tag = format!("v{number}");
            if self.works.find(&repository, &tag, image).is_none() {
                eprintln!("compressing {tag} of {} as zstd:chunked", chain.repository);
                self.compress(&chain.repository, &repository, &tag)?;
            }
            let found = self.works.find(&repository, &tag, image);
            versions.push(found.ok_or_else(|| Failure::new("what skopeo pushed is not in the registry"))?);
        }
        Ok(Chain { repository, versions })
    }

    /// By way of a layout on disk: from a repository to another one of the same registry skopeo takes the blobs that are there.
    fn compress(&self, from: &str, to: &str, tag: &str) -> Result {
        let directory = tempfile::tempdir_in(&self.volumes).context("make a directory for skopeo")?;
        let layout = format!("oci:{}:{tag}", directory.path().join("layout").display());
        let name = |repository: &str| format!("docker://{}/{repository}:{tag}", self.registry.address());
        let copy = || Call::new("skopeo").args(["copy", "--quiet", "--src-tls-verify=false"]);
        let compress = copy().args(["--dest-compress-format", "zstd:chunked", "--dest-compress"]);
        compress.args([name(from), layout.clone()]).read()?;
        copy().args(["--dest-tls-verify=false", "--preserve-digests", &layout, &name(to)]).read().map(|_| ())
    }
}

/// The places of a list, beginning with another one in each round.
fn rotated(length: usize, round: u32) -> impl Iterator<Item = usize> {
    let start = round as usize;
    (0..length).map(move |step| (start + step) % length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another_one() {
        assert_eq!(rotated(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rotated(3, 4).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(rotated(0, 4).count(), 0);
    }

    #[test]
    fn every_case_has_a_name_of_its_own_and_a_section_in_the_documentation() {
        let path = crate::workspace::root().join("docs/benchmarks.md");
        let page = std::fs::read_to_string(path).expect("the page");
        for (place, case) in CASES.iter().enumerate() {
            assert!(CASES[..place].iter().all(|other| other.name != case.name), "{} twice", case.name);
            for marker in ["begin", "end"] {
                assert!(page.contains(&format!("<!-- {}:{marker} -->", case.name)), "{} {marker}", case.name);
            }
        }
    }
}
