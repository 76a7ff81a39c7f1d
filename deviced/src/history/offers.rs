//! What registries have said, for a start without them.

use std::collections::BTreeMap;
use std::time::Duration;

use dockerloader::digest::Digest;
use rusqlite::{OptionalExtension as _, params};

use super::row;
use super::{Error, History};
use crate::choose::Offer;
use crate::sources::RegistryState;

/// Of how many versions it is known since when they are.
const KNOWN: i64 = 20_000;

impl History {
    /// How long this device has known a version, by time that deviced was running.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn known_for(&self, repository: &str, digest: &Digest) -> Result<Duration, Error> {
        self.read("read how long a version is known", |connection| {
            let sql = "SELECT span FROM known WHERE repository = ?1 AND digest = ?2";
            let found = connection
                .prepare_cached(sql)?
                .query_row(params![repository, digest.to_string()], |row| row.get::<_, i64>(0))
                .optional()?;
            Ok(Duration::from_millis(found.map_or(0, |span| u64::try_from(span).unwrap_or(0))))
        })
    }

    /// Adds to the time for which this device has known a version. The first call makes it known.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn add_known(&self, repository: &str, digest: &Digest, span: Duration) -> Result<(), Error> {
        self.add_known_all([(repository, digest)], span).map(drop)
    }

    /// Adds to the time for which this device has known versions, in one step, however many there are. How long it has known each, in their order.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn add_known_all<'a>(
        &self,
        versions: impl IntoIterator<Item = (&'a str, &'a Digest)>,
        span: Duration,
    ) -> Result<Vec<Duration>, Error> {
        let longest = i64::MAX / 2;
        let added = row::millis(span).min(longest);
        self.change("write how long versions are known", |connection| {
            // A new number at each call: the versions that no registry has offered for longest go first.
            let sql = "INSERT OR REPLACE INTO known (repository, digest, span) SELECT ?1, ?2, \
                       min(?3 + coalesce((SELECT span FROM known WHERE repository = ?1 AND digest = ?2), 0), ?4) \
                       RETURNING span";
            let mut add = connection.prepare_cached(sql)?;
            let mut spans = Vec::new();
            for (repository, digest) in versions {
                let parameters = params![repository, digest.to_string(), added, longest];
                let span: i64 = add.query_row(parameters, |row| row.get(0))?;
                spans.push(Duration::from_millis(u64::try_from(span).unwrap_or(0)));
            }
            let sql =
                "DELETE FROM known WHERE id IN (SELECT id FROM known ORDER BY id DESC LIMIT -1 OFFSET ?1)";
            connection.prepare_cached(sql)?.execute([KNOWN])?;
            Ok(spans)
        })
    }

    /// What was offered last, by container.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn offers(&self) -> Result<BTreeMap<String, Vec<Offer>>, Error> {
        let sql = "SELECT container, value FROM offers";
        let rows = self.read("read the offers", |connection| {
            row::rows(connection, self.unreadable(), "offers", sql, [], |row| {
                Ok((row.get(0)?, row::json(row, 1)?))
            })
        })?;
        Ok(rows.into_iter().collect())
    }

    /// What is offered for a container now.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn set_offers(&self, container: &str, offers: &[Offer]) -> Result<(), Error> {
        self.change("write offers down", |connection| {
            if offers.is_empty() {
                connection.prepare_cached("DELETE FROM offers WHERE container = ?1")?.execute([container])?;
            } else {
                let sql = "INSERT OR REPLACE INTO offers (container, value) VALUES (?1, ?2)";
                connection.prepare_cached(sql)?.execute(params![container, row::to_json(&offers)?])?;
            }
            Ok(())
        })
    }

    /// What was known about registries last, the closest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn registries(&self) -> Result<Vec<RegistryState>, Error> {
        let sql = "SELECT url, value FROM registries";
        let mut all: Vec<RegistryState> = self.read("read the state of registries", |connection| {
            row::rows(connection, self.unreadable(), "registries", sql, [], |row| row::json(row, 1))
        })?;
        all.sort_by_key(|registry| registry.rank);
        Ok(all)
    }

    /// What is known about registries now; others are forgotten.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn set_registries(&self, registries: &[RegistryState]) -> Result<(), Error> {
        self.change("write the state of registries", |connection| {
            connection.prepare_cached("DELETE FROM registries")?.execute([])?;
            let mut insert = connection
                .prepare_cached("INSERT OR REPLACE INTO registries (url, value) VALUES (?1, ?2)")?;
            for registry in registries {
                insert.execute(params![registry.url, row::to_json(registry)?])?;
            }
            Ok(())
        })
    }
}
