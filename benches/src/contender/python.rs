//! The contenders in Python.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Contender;
use crate::Result;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/echo_tls.py");

/// asyncio and uvloop under TLS, under these names. One that `interpreter` has not is left out, with a
/// note on stderr.
pub fn tls_in_python(
    names: [&'static str; 2],
    interpreter: &str,
    certified: &CertificateFiles,
) -> Vec<Contender> {
    let loops: [(_, &'static [&'static str]); 2] =
        [("asyncio", &[SCRIPT, "--loop", "asyncio"]), ("uvloop", &[SCRIPT, "--loop", "uvloop"])];
    let mut contenders = Vec::new();
    for (name, (module, options)) in names.into_iter().zip(loops) {
        if !has(interpreter, module) {
            eprintln!(
                "note: {name} is left out: {interpreter} has no {module}. To have both: `python3 -m \
                 venv DIRECTORY && DIRECTORY/bin/pip install uvloop`, then `--python \
                 DIRECTORY/bin/python3`"
            );
            continue;
        }
        let contender = Contender::at(name, interpreter.into(), options)
            .with_option("--certificate", certified.certificate.display())
            .with_option("--key", certified.key.display());
        contenders.push(contender);
    }
    contenders
}

fn has(interpreter: &str, module: &str) -> bool {
    let mut command = Command::new(interpreter);
    command.args(["-c", &format!("import {module}")]).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A certificate and its key, made on the spot, in files that are removed in the end.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl CertificateFiles {
    /// Makes them, readable by nobody else.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let path = |kind: &str| {
            std::env::temp_dir().join(format!("wharf-numbers-{}-{kind}.pem", std::process::id()))
        };
        let files = Self { certificate: path("certificate"), key: path("key") };
        write(&files.certificate, &made.cert.pem())?;
        write(&files.key, &made.signing_key.serialize_pem())?;
        Ok(files)
    }
}

impl Drop for CertificateFiles {
    fn drop(&mut self) {
        for path in [&self.certificate, &self.key] {
            let _ = fs::remove_file(path);
        }
    }
}

fn write(path: &Path, text: &str) -> Result {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
