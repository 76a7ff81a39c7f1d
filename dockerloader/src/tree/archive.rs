//! A tar stream, cut into entries: headers, extension headers, contents and padding. The contents are handed out as slices
//! of the stream's own buffers.

use std::io::{BufRead, Read as _};

use crate::limits::Limits;

use super::entry::{Entry, Parts, SparseForm};
use super::error::Error;
use super::header::{BLOCK, Header};
use super::pax::Records;
use super::refusal::{Refusal, Rule};
use super::sparse;

/// The entries of a layer.
pub(super) struct Archive<R> {
    source: R,
    limits: Limits,
    parts: Parts,
    /// Buffers of extension headers between uses.
    spare: Vec<Vec<u8>>,
    /// Contents and padding of the current entry that were not read yet.
    unread: u64,
    padding: u64,
    headers: u64,
    ended: bool,
}

/// The contents of one entry.
pub(super) struct Body<'a, R> {
    source: &'a mut R,
    unread: &'a mut u64,
}

/// Outcome of reading one header.
enum Block {
    Extension,
    Entry,
    End,
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(source: R, limits: &Limits) -> Self {
        Self {
            source,
            limits: *limits,
            parts: Parts::new(),
            spare: Vec::new(),
            unread: 0,
            padding: 0,
            headers: 0,
            ended: false,
        }
    }

    /// The next entry and its contents; what is not read of the previous contents is skipped. `None` after the end,
    /// which two zero blocks or the end of the stream between entries are.
    pub(super) fn next(&mut self) -> Result<Option<(Entry<'_>, Body<'_, R>)>, Error> {
        self.skip_rest()?;
        self.recycle();
        loop {
            match self.read_header()? {
                Block::End => return Ok(None),
                Block::Extension => {}
                Block::Entry => break,
            }
        }
        let outline = self.parts.outline(&self.limits).map_err(|rule| self.refuse(rule))?;
        self.unread = outline.stored;
        self.padding = padding(outline.stored);
        match outline.sparse {
            SparseForm::OldGnu => self.read_sparse_blocks()?,
            SparseForm::Lines => self.read_sparse_lines()?,
            SparseForm::None | SparseForm::Records => {}
        }
        let Self { parts, source, unread, limits, .. } = self;
        match parts.entry(outline.sparse, *unread, limits) {
            Ok(entry) => Ok(Some((entry, Body { source, unread }))),
            Err(rule) => Err(Refusal::new(parts.name(), rule).into()),
        }
    }

    /// The stream, after the end of the archive.
    pub(super) fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn refuse(&self, rule: Rule) -> Error {
        Refusal::new(self.parts.name(), rule).into()
    }

    fn recycle(&mut self) {
        let Parts { pax, long_name, long_link, .. } = &mut self.parts;
        self.spare.extend([pax.take(), long_name.take(), long_link.take()].into_iter().flatten());
    }

    fn read_header(&mut self) -> Result<Block, Error> {
        if self.ended || !read_block(&mut self.source, &mut self.parts.header)? {
            self.ended = true;
            return self.end();
        }
        if Header(&self.parts.header).is_zero() {
            self.ended = true;
            // A second zero block is asked for, but many writers forget it.
            if read_block(&mut self.source, &mut self.parts.header)? && !Header(&self.parts.header).is_zero()
            {
                return Err(Refusal::new(b"", Rule::SingleZeroBlock).into());
            }
            return self.end();
        }
        self.headers += 1;
        let header = Header(&self.parts.header);
        let checked = header
            .verify_checksum()
            .and_then(|()| Ok(self.limits.layer_entries.check(self.headers)?))
            .map(|_| header.type_flag());
        match checked.map_err(|rule| self.refuse(rule))? {
            flag @ (b'x' | b'L' | b'K') => self.read_extension(flag)?,
            b'g' => self.read_global()?,
            _ => return Ok(Block::Entry),
        }
        Ok(Block::Extension)
    }

    fn end(&self) -> Result<Block, Error> {
        match &self.parts {
            Parts { pax: None, long_name: None, long_link: None, .. } => Ok(Block::End),
            _ => Err(self.refuse(Rule::Orphan)),
        }
    }

    fn read_extension(&mut self, flag: u8) -> Result<(), Error> {
        let mut body = self.read_metadata()?;
        if flag != b'x' {
            // GNU tar counts the terminating NUL.
            while body.last() == Some(&0) {
                body.pop();
            }
        }
        let slot = match flag {
            b'x' => &mut self.parts.pax,
            b'L' => &mut self.parts.long_name,
            _ => &mut self.parts.long_link,
        };
        if slot.replace(body).is_some() {
            return Err(self.refuse(Rule::DuplicateExtension(char::from(flag))));
        }
        Ok(())
    }

    /// A global header (`git archive` writes one with a comment) holds for all later entries. Engines ignore it; one that
    /// would change what is extracted is refused, since others may obey it.
    fn read_global(&mut self) -> Result<(), Error> {
        let body = self.read_metadata()?;
        for record in Records(&body) {
            let (key, _) = record.map_err(|rule| self.refuse(rule))?;
            if matches!(key, b"path" | b"linkpath" | b"size" | b"uid" | b"gid")
                || key.starts_with(b"GNU.sparse")
            {
                return Err(self.refuse(Rule::GlobalPax(key.escape_ascii().to_string())));
            }
        }
        self.spare.push(body);
        Ok(())
    }

    /// The contents of an extension header, whose announced size is checked before anything is allocated.
    fn read_metadata(&mut self) -> Result<Vec<u8>, Error> {
        let size =
            Header(&self.parts.header).size().and_then(|size| Ok(self.limits.pax_bytes.check(size)?));
        let size = size.map_err(|rule| self.refuse(rule))?;
        let mut body = self.spare.pop().unwrap_or_default();
        body.clear();
        self.source.by_ref().take(size).read_to_end(&mut body).map_err(Error::from_stream)?;
        if body.len() as u64 != size {
            return Err(Error::Truncated("an extension header"));
        }
        skip(&mut self.source, padding(size))?;
        Ok(body)
    }

    fn read_sparse_blocks(&mut self) -> Result<(), Error> {
        let mut more = Header(&self.parts.header).sparse_continues();
        let mut block = [0; BLOCK];
        while more {
            if !read_block(&mut self.source, &mut block)? {
                return Err(Error::Truncated("a sparse map"));
            }
            let (segments, rest) = block.split_at(504);
            let before = self.parts.sparse.len();
            let mut added = sparse::add_old_gnu(&mut self.parts.sparse, segments, &self.limits);
            if self.parts.sparse.len() == before {
                // Blocks without a segment would let the map go on for ever.
                added = added.and(Err(Rule::Sparse("an empty continuation")));
            }
            added.map_err(|rule| self.refuse(rule))?;
            more = rest.first().is_some_and(|&byte| byte != 0);
        }
        Ok(())
    }

    fn read_sparse_lines(&mut self) -> Result<(), Error> {
        let mut lines = sparse::Lines::default();
        let mut block = [0; BLOCK];
        loop {
            let Some(rest) = self.unread.checked_sub(BLOCK as u64) else {
                return Err(self.refuse(Rule::Sparse("the map does not end within the contents")));
            };
            if !read_block(&mut self.source, &mut block)? {
                return Err(Error::Truncated("a sparse map"));
            }
            self.unread = rest;
            for &byte in &block {
                let complete = lines.push(&mut self.parts.sparse, byte, &self.limits);
                if complete.map_err(|rule| self.refuse(rule))? {
                    return Ok(());
                }
            }
        }
    }

    fn skip_rest(&mut self) -> Result<(), Error> {
        skip(&mut self.source, std::mem::take(&mut self.unread))?;
        skip(&mut self.source, std::mem::take(&mut self.padding))
    }
}

impl<R: BufRead> Body<'_, R> {
    /// Gives up to `limit` bytes of the contents to `sink`, in as many slices as they come. Stops early only at the end
    /// of the contents.
    pub(super) fn read(
        &mut self,
        limit: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut wanted = limit.min(*self.unread);
        while wanted > 0 {
            let available = self.source.fill_buf().map_err(Error::from_stream)?;
            let count = usize::try_from(wanted).unwrap_or(usize::MAX).min(available.len());
            let slice = available.get(..count).unwrap_or_default();
            if slice.is_empty() {
                return Err(Error::Truncated("a file"));
            }
            sink(slice)?;
            self.source.consume(count);
            *self.unread -= count as u64;
            wanted -= count as u64;
        }
        Ok(())
    }
}

/// Bytes between the end of contents and the next block.
const fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// Reads a block; `false` at the end of the stream.
fn read_block(source: &mut impl BufRead, block: &mut [u8; BLOCK]) -> Result<bool, Error> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest).map_err(Error::from_stream)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(Error::Truncated("a header")),
            count => filled += count,
        }
    }
    Ok(true)
}

fn skip(source: &mut impl BufRead, mut count: u64) -> Result<(), Error> {
    while count > 0 {
        let available = source.fill_buf().map_err(Error::from_stream)?.len();
        if available == 0 {
            return Err(Error::Truncated("a file"));
        }
        let step = usize::try_from(count).unwrap_or(usize::MAX).min(available);
        source.consume(step);
        count -= step as u64;
    }
    Ok(())
}
