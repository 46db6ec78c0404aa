//! A certificate authority of a test's own.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

/// An authority, and the files that operators have: `ca.pem`, and after [`Authority::renew`] `cert.pem` and `key.pem`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            certificate: certificate.der().clone(),
            folder,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for a name, which is not kept.
    pub(crate) fn issue(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A new pair of files for a name.
    pub(crate) fn renew(&self, name: &str) -> CertificateDer<'static> {
        let (certificate, key) = self.issue(name);
        // Each file at once, the pair not.
        for (name, text) in [
            ("key.pem", key.serialize_pem()),
            ("cert.pem", certificate.pem()),
        ] {
            fs::write(self.file("new.pem"), text).unwrap();
            fs::rename(self.file("new.pem"), self.file(name)).unwrap();
        }
        certificate.der().clone()
    }

    /// What trusts this authority alone.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }
}
