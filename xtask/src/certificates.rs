//! A private certificate authority for one run, and the credentials of the test registries.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::failure::{Context as _, Result};

/// The name that containers give to 127.0.0.1: unlike `localhost`, nobody trusts it without a certificate.
pub(crate) const HOST: &str = "registry.test";
/// Who may use the registries of a run, on loopback, for as long as the run lasts.
pub(crate) const USER: &str = "tester";
pub(crate) const PASSWORD: &str = "correct horse";
/// [`PASSWORD`] as bcrypt writes it, the only form that the registry reads.
const PASSWORD_HASH: &str = "$2b$04$Pau70booX3lRbDtYsxo6E.3d4MGViTNcHUXsjNn/1techiR3bxZK6";

/// The key that signs tokens, and its certificate.
#[derive(Debug)]
pub(crate) struct TokenKey {
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
}

/// Writes what the registries read: `tls/{certificate,key}.pem` and `htpasswd`, `tokens/roots.pem`; and for clients
/// `ca.pem`. Gives the key that signs tokens.
pub(crate) fn write(directory: &Path) -> Result<TokenKey> {
    let authority_key = KeyPair::generate().context("make a key")?;
    let mut authority = parameters("dockerloader test authority", &[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_certificate = authority.self_signed(&authority_key).context("sign a certificate")?;
    let authority = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().context("make a key")?;
    let names = [HOST, "localhost", "127.0.0.1"];
    let certificate = parameters(HOST, &names)?.signed_by(&key, &authority).context("sign a certificate")?;

    let token_key = KeyPair::generate().context("make a key")?;
    let token_certificate =
        parameters("dockerloader test tokens", &[])?.self_signed(&token_key).context("sign a certificate")?;

    let (tls, tokens) = (directory.join("tls"), directory.join("tokens"));
    for made in [&tls, &tokens] {
        std::fs::create_dir(made).context(format_args!("make {}", made.display()))?;
    }
    save(&directory.join("ca.pem"), &authority_certificate.pem())?;
    save(&tls.join("certificate.pem"), &certificate.pem())?;
    save(&tls.join("key.pem"), &key.serialize_pem())?;
    save(&tls.join("htpasswd"), &format!("{USER}:{PASSWORD_HASH}\n"))?;
    save(&tokens.join("roots.pem"), &token_certificate.pem())?;
    Ok(TokenKey { pkcs8: token_key.serialize_der(), certificate: token_certificate.der().to_vec() })
}

/// Writes Docker's own credential file, with the one user for each registry.
pub(crate) fn write_docker_config(directory: &Path, registries: &[&str]) -> Result {
    std::fs::create_dir(directory).context(format_args!("make {}", directory.display()))?;
    let login = json!({ "auth": BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")) });
    let logins = registries.iter().map(|registry| ((*registry).to_owned(), login.clone()));
    let config = json!({ "auths": logins.collect::<serde_json::Map<_, _>>() });
    save(&directory.join("config.json"), &config.to_string())
}

fn parameters(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
    let mut parameters = CertificateParams::new(hosts).context("name a certificate")?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}

fn save(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).context(format_args!("write {}", path.display()))
}
