//! Certificates of a test's own authority, made by openssl: for servers on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// An authority that no client trusts by itself. Its files are removed with this value.
pub(crate) struct Authority {
    home: TempDir,
}

/// What a server shows.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let subject = "/O=Granary/CN=an authority of a test";
        let own = [
            "req", "-x509", "-days", "2", "-subj", subject, "-out", "ca.pem", "-keyout", "ca.key",
        ];
        openssl(home.path(), &[&own[..], &WITH_A_NEW_KEY].concat());
        Self { home }
    }

    /// Its own certificate, as PEM: for those who trust it.
    pub(crate) fn pem(&self) -> String {
        std::fs::read_to_string(self.home.path().join("ca.pem")).unwrap()
    }

    /// A certificate for these names, as `DNS:localhost,IP:127.0.0.1`.
    pub(crate) fn sign(&self, names: &str) -> Certificate {
        let home = self.home.path();
        let of = |what: &str| format!("{}.{what}", names.replace([':', ',', '.'], "_"));
        let (request, key, signed) = (of("csr"), of("key"), of("pem"));
        let requested = ["req", "-subj", "/CN=a server", "-out", &request, "-keyout", &key];
        openssl(home, &[&requested[..], &WITH_A_NEW_KEY].concat());
        std::fs::write(
            home.join("extensions"),
            format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n"),
        )
        .unwrap();
        let signing = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        ];
        let signed_as = ["-days", "2", "-extfile", "extensions", "-out", &signed];
        openssl(home, &[&signing[..], &signed_as].concat());
        Certificate {
            certificate: home.join(signed),
            key: home.join(key),
        }
    }
}

const WITH_A_NEW_KEY: [&str; 5] = [
    "-nodes",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
];

fn openssl(home: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(home)
        .output()
        .expect("openssl is there, as the local stack needs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
