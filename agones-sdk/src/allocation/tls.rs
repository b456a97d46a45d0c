//! Owns: the three files of mutual TLS to an allocator, and what is wrong with them.
//! Must never know: what is sent over it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Code, Status};

/// No certificate is longer; a mistaken path must not fill the memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the certificates are: PEM, as Agones' secrets hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, signed by an authority that the allocator was given (secret `allocator-client-ca`).
    pub client_cert: PathBuf,
    /// Its private key.
    pub client_key: PathBuf,
    /// The authority that signed the allocator's certificate (secret `allocator-tls-ca`).
    pub server_ca: Authority,
    /// The name in the allocator's certificate, where it is not the address's host.
    pub server_name: Option<String>,
}

/// A certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// A PEM file.
    File(PathBuf),
    /// PEM itself, as a `GameServerAllocationPolicy` holds it.
    Pem(String),
}

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// A file is not there, or not readable.
    #[error("certificate file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is no PEM of the kind that is needed.
    #[error("certificate file {path} holds no {what}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The files hold what they should, and it is not accepted.
    #[error("certificate {client_cert} and its key are not usable: {reason}")]
    Refused {
        /// Our certificate.
        client_cert: PathBuf,
        /// In the TLS library's words.
        reason: String,
    },
}

impl TlsFilesError {
    pub(super) fn refused(files: &TlsFiles, error: &tonic::transport::Error) -> Self {
        Self::Refused { client_cert: files.client_cert.clone(), reason: last_cause(error) }
    }
}

impl TlsFiles {
    /// Reads all three.
    pub(super) fn read(&self) -> Result<ClientTlsConfig, TlsFilesError> {
        let cert = pem(&self.client_cert, "CERTIFICATE")?;
        let key = pem(&self.client_key, "PRIVATE KEY")?;
        let authority = match &self.server_ca {
            Authority::File(path) => pem(path, "CERTIFICATE")?,
            Authority::Pem(pem) => pem.clone(),
        };
        let config = ClientTlsConfig::new()
            .identity(Identity::from_pem(cert, key))
            .ca_certificate(Certificate::from_pem(authority));
        Ok(match &self.server_name {
            Some(name) => config.domain_name(name.clone()),
            None => config,
        })
    }
}

/// A file that holds a PEM block whose label ends like `what` (a key's may be `RSA PRIVATE KEY`).
fn pem(path: &Path, what: &'static str) -> Result<String, TlsFilesError> {
    let unreadable = |source| TlsFilesError::Read { path: path.to_owned(), source };
    let not_pem = || TlsFilesError::NotPem { path: path.to_owned(), what };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(not_pem());
    }
    let text = fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(|_| not_pem())?;
    let begins = |line: &str| {
        line.trim().strip_prefix("-----BEGIN ").is_some_and(|rest| {
            rest.strip_suffix("-----")
                .is_some_and(|label| label == what || label.ends_with(&format!(" {what}")))
        })
    };
    if text.lines().any(begins) { Ok(text) } else { Err(not_pem()) }
}

/// Whether a connection broke, rather than an answer came over it.
pub(super) fn is_broken(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}

/// What is at the bottom of it, in the words of whoever found out.
pub(super) fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // A status without causes prints its fields: what it says is enough.
    cause.downcast_ref::<Status>().map_or_else(|| cause.to_string(), |status| status.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cert"), "-----BEGIN CERTIFICATE-----\n").unwrap();
        fs::write(path("key"), "-----BEGIN EC PRIVATE KEY-----\n").unwrap();
        fs::write(path("noise"), [0xff, 0x00]).unwrap();
        let read = |cert: &str, key: &str, authority: &str| {
            let files = TlsFiles {
                client_cert: path(cert),
                client_key: path(key),
                server_ca: Authority::File(path(authority)),
                server_name: None,
            };
            files.read().map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read("cert", "key", "cert"), Ok(()));
        for (cert, key, authority, wrong, what) in [
            ("absent", "key", "cert", "absent", "cannot be read"),
            ("cert", "cert", "cert", "cert", "holds no PRIVATE KEY"),
            ("cert", "key", "noise", "noise", "holds no CERTIFICATE"),
            ("key", "key", "cert", "key", "holds no CERTIFICATE"),
        ] {
            let error = read(cert, key, authority).unwrap_err();
            assert!(error.contains(what) && error.contains(&*path(wrong).to_string_lossy()), "{error}");
        }
    }
}
