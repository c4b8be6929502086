//! Reading PEM: certificates and keys, from files or memory.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use crate::error::Error;

/// No bundle of certificates is larger; `/dev/zero` is.
const MAX_SIZE: u64 = 16 << 20;

/// Where PEM comes from.
#[derive(Clone)]
pub(super) enum PemSource {
    File(PathBuf),
    Memory(Vec<u8>),
}

/// What was in there, in order.
pub(super) struct PemContents {
    /// What to call it in errors.
    origin: String,
    certificates: Vec<CertificateDer<'static>>,
    keys: Vec<PrivateKeyDer<'static>>,
    has_encrypted_key: bool,
}

impl PemSource {
    pub(super) fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }

    pub(super) fn memory(pem: impl AsRef<[u8]>) -> Self {
        Self::Memory(pem.as_ref().to_owned())
    }

    pub(super) fn read(&self) -> Result<PemContents, Error> {
        match self {
            Self::File(path) => parse(self.to_string(), &read_file(path)?),
            Self::Memory(pem) => parse(self.to_string(), pem),
        }
    }
}

impl fmt::Display for PemSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "`{}`", path.display()),
            Self::Memory(_) => formatter.write_str("the given PEM"),
        }
    }
}

impl fmt::Debug for PemSource {
    /// Without what is in memory, which may be a key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl PemContents {
    /// At least one certificate.
    pub(super) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, Error> {
        if self.certificates.is_empty() {
            let instead = match (self.keys.len(), self.has_encrypted_key) {
                (0, false) => "",
                _ => ", only a private key",
            };
            return Err(Error::invalid(format!("{} holds no certificate{instead}", self.origin)));
        }
        Ok(self.certificates)
    }

    /// The only key.
    pub(super) fn key(mut self) -> Result<PrivateKeyDer<'static>, Error> {
        let origin = &self.origin;
        if self.has_encrypted_key {
            return Err(Error::invalid(format!(
                "the private key in {origin} is encrypted; decrypt it first, \
                 for example with `openssl pkey`"
            )));
        }
        match (self.keys.pop(), self.keys.len()) {
            (Some(key), 0) => Ok(key),
            (Some(_), others) => Err(Error::invalid(format!(
                "{origin} holds {} private keys; it must hold one",
                others + 1
            ))),
            (None, _) => {
                let instead = if self.certificates.is_empty() { "" } else { ", only certificates" };
                Err(Error::invalid(format!("{origin} holds no private key{instead}")))
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::io(format!("`{}` cannot be read", path.display()), error);
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut content))
        .map_err(failed)?;
    if content.len() as u64 > MAX_SIZE {
        return Err(Error::invalid(format!("`{}` is too large to be PEM", path.display())));
    }
    Ok(content)
}

fn parse(origin: String, content: &[u8]) -> Result<PemContents, Error> {
    if content.trim_ascii().is_empty() {
        return Err(Error::invalid(format!("{origin} is empty")));
    }
    if !contains(content, b"-----BEGIN ") {
        // A DER certificate or key is a SEQUENCE with a length of two bytes.
        let hint = if content.starts_with(&[0x30, 0x82]) {
            "; it looks like DER, which `openssl x509 -inform der` or `openssl pkey` converts"
        } else {
            ""
        };
        return Err(Error::invalid(format!("{origin} is not PEM{hint}")));
    }
    let mut contents = PemContents {
        origin,
        certificates: Vec::new(),
        keys: Vec::new(),
        has_encrypted_key: contains(content, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || contains(content, b"Proc-Type: 4,ENCRYPTED"),
    };
    if contents.has_encrypted_key {
        // The headers of the old encryption are no base64, so the rest cannot be told from damage.
        let certificates = CertificateDer::pem_slice_iter(content);
        contents.certificates = certificates.filter_map(Result::ok).collect();
        return Ok(contents);
    }
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(content) {
        let (kind, der) = section
            .map_err(|error| Error::invalid(format!("{}: {}", contents.origin, damage(&error))))?;
        match kind {
            SectionKind::Certificate => contents.certificates.push(der.into()),
            SectionKind::PrivateKey => contents.keys.push(PrivatePkcs8KeyDer::from(der).into()),
            SectionKind::RsaPrivateKey => contents.keys.push(PrivatePkcs1KeyDer::from(der).into()),
            SectionKind::EcPrivateKey => contents.keys.push(PrivateSec1KeyDer::from(der).into()),
            _ => {}
        }
    }
    Ok(contents)
}

fn damage(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "the last section of the PEM has no end",
        pem::Error::IllegalSectionStart { .. } => "a section of the PEM begins wrongly",
        pem::Error::Base64Decode(_) => "a section of the PEM is not base64",
        _ => "the PEM is damaged",
    }
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}
