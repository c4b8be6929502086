//! Certificates for foreign programs, in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use wharf::TlsIdentity;

use crate::serving::Directory;

/// An authority, and a directory for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: Directory,
}

/// Where a certificate and its key are.
pub struct Files {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = Directory::new();
        fs::write(directory.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate for names, the first of which is also what it is called.
    pub fn issue(&self, names: &[&str]) -> Files {
        let listed: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(listed).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            chain: self.directory.join(format!("{}.pem", names[0])),
            key: self.directory.join(format!("{}.key", names[0])),
        };
        fs::write(&files.chain, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

impl Files {
    pub fn identity(&self) -> TlsIdentity {
        TlsIdentity::from_files(&self.chain, &self.key)
    }
}

/// As an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
