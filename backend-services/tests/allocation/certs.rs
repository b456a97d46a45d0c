//! Certificates that live as long as a test: an authority, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// An authority that signs.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, PEM.
pub struct Signed {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).expect("a certificate");
        Self { pem: cert.pem(), issuer: Issuer::new(params, key) }
    }

    /// For a server of this name.
    pub fn server(&self, name: &str) -> Signed {
        self.sign(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client.
    pub fn client(&self) -> Signed {
        self.sign("matchmaker", ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![purpose];
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Signed { cert: cert.pem(), key: key.serialize_pem() }
    }
}
