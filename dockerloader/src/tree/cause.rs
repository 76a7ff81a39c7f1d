//! Who made a path another than its seal says: the disk, or a program that meant to. Pure.
//!
//! A program can't touch a file without giving it a new change time (`inode(7)`, "ctime"); a disk that loses or changes bits does not set
//! times. So what differs and still has its stamp was damaged. What has another one may be what the workload wrote, and is its own, as
//! long as nothing of it is executed (I2).

use super::verify::Problem;

/// Who it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The disk, a loss of power, or whoever changes what is executed: it has to be put right.
    Damage,
    /// A program, on purpose: data of the workload in the place of the image's.
    Program,
    /// A program made something that the image does not have.
    Added,
}

/// What is known of a path that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) problem: Problem,
    /// It has the stamp that it had when it was sealed.
    pub(super) stamped: bool,
    /// It has the modification time that it had when it was sealed.
    pub(super) same_time: bool,
    /// It is a program, a library or a script: by its mode, as sealed, or by its first bytes, as found.
    pub(super) executable: bool,
    /// Nothing is left of its contents: no bytes, or zeros alone.
    pub(super) emptied: bool,
    /// A directory closed to all but its owner, as a repair that is cut off leaves it.
    pub(super) half_mended: bool,
}

impl Seen {
    /// The rule.
    pub(super) const fn cause(self) -> Cause {
        let broken = self.stamped || self.executable;
        let is_damage = match self.problem {
            Problem::Extra => return Cause::Added,
            // What may not be read says nothing of what it is: `EPERM`, `EACCES`.
            Problem::Unreadable(1 | 13) => false,
            // An image's files are needed: whoever removes them for good is updated to have them again anyway.
            Problem::Missing | Problem::Kind | Problem::Target | Problem::Unreadable(_) => true,
            Problem::Size | Problem::Contents | Problem::Links => broken || self.same_time || self.emptied,
            Problem::Mode | Problem::Owner | Problem::Xattrs => broken || self.half_mended,
            Problem::Time | Problem::Written => false,
        };
        if is_damage { Cause::Damage } else { Cause::Program }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `s`: has its stamp; `t`: its time; `x`: is executed; `e`: is empty or zeros; `h`: a repair was cut off.
    fn seen(problem: Problem, text: &str) -> Seen {
        let has = |letter| text.contains(letter);
        Seen {
            problem,
            stamped: has('s'),
            same_time: has('t'),
            executable: has('x'),
            emptied: has('e'),
            half_mended: has('h'),
        }
    }

    #[test]
    fn what_still_has_its_stamp_was_damaged_and_what_is_executed_counts_as_damaged() {
        use Cause::{Added, Damage, Program};
        for (problem, text, cause) in [
            (Problem::Extra, "", Added),
            (Problem::Extra, "x", Added),
            // Lost, whoever it was.
            (Problem::Missing, "", Damage),
            (Problem::Kind, "", Damage),
            (Problem::Target, "", Damage),
            (Problem::Unreadable(5), "", Damage),
            (Problem::Unreadable(13), "sx", Program),
            // A flipped bit, with and without a new time.
            (Problem::Contents, "st", Damage),
            (Problem::Contents, "t", Damage),
            (Problem::Contents, "x", Damage),
            // Rewritten when the power failed.
            (Problem::Size, "e", Damage),
            (Problem::Contents, "e", Damage),
            // A data base, a log, a setting.
            (Problem::Contents, "", Program),
            (Problem::Size, "", Program),
            (Problem::Links, "", Program),
            // `chown -R` in an entrypoint.
            (Problem::Owner, "t", Program),
            (Problem::Mode, "t", Program),
            (Problem::Xattrs, "t", Program),
            (Problem::Mode, "st", Damage),
            (Problem::Owner, "st", Damage),
            (Problem::Mode, "tx", Damage),
            (Problem::Mode, "h", Damage),
            // The same bytes.
            (Problem::Time, "", Program),
            (Problem::Written, "x", Program),
        ] {
            assert_eq!(seen(problem, text).cause(), cause, "{problem}: {text}");
        }
    }
}
