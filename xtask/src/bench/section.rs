//! Sections of `docs/benchmarks.md` that a command writes: between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

use crate::failure::{Context as _, Failure, Result};
use crate::workspace::root;

/// Puts `text` into the section of this name.
pub(super) fn write(name: &str, text: &str) -> Result {
    let path = root().join("docs/benchmarks.md");
    let page = std::fs::read_to_string(&path).context(format_args!("read {}", path.display()))?;
    let page = replaced(&page, name, text).ok_or_else(|| {
        Failure::new(format!(
            "{} has no section between <!-- {name}:begin --> and <!-- {name}:end -->",
            path.display()
        ))
    })?;
    std::fs::write(&path, page).context(format_args!("write {}", path.display()))?;
    eprintln!("wrote the section {name} of {}", path.display());
    Ok(())
}

/// The page with another text between the two markers; `None` without both of them in this order.
fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n<!-- y:begin -->\n<!-- y:end -->\n";
        let once = replaced(page, "x", "\nnew\n").expect("x is there");
        assert_eq!(once, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n<!-- y:begin -->\n<!-- y:end -->\n");
        assert_eq!(replaced(&once, "x", "new").as_deref(), Some(once.as_str()));
        assert_eq!(replaced(page, "z", "new"), None);
        assert_eq!(replaced("<!-- x:end --> <!-- x:begin -->", "x", "new"), None);
    }
}
