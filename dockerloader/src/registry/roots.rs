//! Which certificate authorities are trusted: the system's, and those of `DOCKERLOADER_CA_FILE`.
//!
//! They are read when the first certificate is to be judged, once for all connections: a poll over plain HTTP needs none
//! of them, and reading a hundred files takes longer than the poll.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where systems have all authorities in one file (Debian, Fedora, openSUSE, OpenELEC, CentOS, Alpine).
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where they have each in a file of its own.
const FOLDERS: [&str; 3] = ["/etc/ssl/certs", "/etc/pki/tls/certs", "/system/etc/security/cacerts"];

/// Judges the certificates of servers.
pub(super) struct Roots {
    provider: Arc<CryptoProvider>,
    extra: Vec<CertificateDer<'static>>,
    /// `None` where there is no authority at all.
    verifier: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
}

impl Roots {
    /// Trusts the system's authorities and `extra`. Nothing is read yet.
    pub(super) const fn new(provider: Arc<CryptoProvider>, extra: Vec<CertificateDer<'static>>) -> Self {
        Self { provider, extra, verifier: OnceLock::new() }
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        self.verifier().is_some()
    }

    fn verifier(&self) -> Option<&Arc<WebPkiServerVerifier>> {
        let verifier = self.verifier.get_or_init(|| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(self.extra.iter().cloned());
            store.add_parsable_certificates(system());
            let provider = Arc::clone(&self.provider);
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().ok()
        });
        verifier.as_ref()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("extra", &self.extra.len()).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Roots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier =
            self.verifier().ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Where to look for authorities.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Whether all places count, or the first one that has any.
    all: bool,
}

impl Places {
    /// By the values of `SSL_CERT_FILE` and `SSL_CERT_DIR`, which replace the system's own places, as in OpenSSL.
    fn new(file: Option<OsString>, folders: Option<OsString>) -> Self {
        if file.is_none() && folders.is_none() {
            let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect();
            return Self { files: paths(&BUNDLES), folders: paths(&FOLDERS), all: false };
        }
        let folders = folders.iter().flat_map(std::env::split_paths);
        let folders = folders.filter(|path| !path.as_os_str().is_empty()).collect();
        Self { files: file.into_iter().map(PathBuf::from).collect(), folders, all: true }
    }

    fn read(&self) -> Vec<CertificateDer<'static>> {
        let mut found = Vec::new();
        let files = self.files.iter().map(|path| (path, read_file as fn(&Path) -> _));
        let folders = self.folders.iter().map(|path| (path, read_folder as fn(&Path) -> _));
        for (path, read) in files.chain(folders) {
            found.extend(read(path));
            if !self.all && !found.is_empty() {
                break;
            }
        }
        found
    }
}

fn system() -> Vec<CertificateDer<'static>> {
    Places::new(std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR")).read()
}

/// The certificates of a file; what can't be read is left out, as a place that isn't there is.
fn read_file(path: &Path) -> Vec<CertificateDer<'static>> {
    let bytes = std::fs::read(path).unwrap_or_default();
    CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect()
}

/// The certificates of a folder's files, each file once: several links usually lead to it.
fn read_folder(path: &Path) -> Vec<CertificateDer<'static>> {
    let mut seen = HashSet::new();
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut is_new = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && seen.insert((found.dev(), found.ino())))
    };
    entries.map(|entry| entry.path()).filter(|path| is_new(path)).flat_map(|path| read_file(&path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_replace_the_systems_places() {
        let places = |file: Option<&str>, folders: Option<&str>| {
            Places::new(file.map(OsString::from), folders.map(OsString::from))
        };
        let system = places(None, None);
        assert_eq!((system.files.len(), system.folders.len(), system.all), (6, 3, false));
        for (file, folders, expected_files, expected_folders) in [
            (Some("/a"), None, &["/a"][..], &[][..]),
            (None, Some("/b:/c"), &[], &["/b", "/c"]),
            (Some("/a"), Some(":/b:"), &["/a"], &["/b"]),
            (None, Some(""), &[], &[]),
        ] {
            let found = places(file, folders);
            let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
            let (files, folders) = (paths(expected_files), paths(expected_folders));
            assert_eq!(found, Places { files, folders, all: true });
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test makes a folder of certificates")]
    fn the_first_place_that_has_any_is_enough_and_a_file_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let (folder, bundle) = (directory.path().join("folder"), directory.path().join("bundle.pem"));
        let pem = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.pem"), pem("a")).unwrap();
        std::fs::write(folder.join("b.pem"), pem("b") + &pem("c")).unwrap();
        std::fs::write(folder.join("README"), "none").unwrap();
        std::os::unix::fs::symlink("a.pem", folder.join("0a0a0a0a.0")).unwrap();
        std::os::unix::fs::symlink("gone", folder.join("1b1b1b1b.0")).unwrap();
        let count = |files: &[&Path], all| {
            let files = files.iter().map(|path| path.to_path_buf()).collect();
            Places { files, folders: vec![folder.clone()], all }.read().len()
        };
        assert_eq!(count(&[&bundle], false), 3, "no bundle");
        std::fs::write(&bundle, "").unwrap();
        assert_eq!(count(&[&bundle], false), 3, "an empty bundle");
        std::fs::write(&bundle, pem("d")).unwrap();
        assert_eq!(count(&[&bundle], false), 1);
        assert_eq!(count(&[&bundle], true), 4);
    }
}
