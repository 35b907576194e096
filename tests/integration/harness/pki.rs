//! Certificate chains, made by openssl in the folder of the settings.

use std::fs;
use std::path::PathBuf;

use super::tidegate::Settings;
use super::tools::run;

pub struct Pki {
    folder: PathBuf,
}

/// The extensions of a CA.
pub const CA: &[&str] = &["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
/// The extensions of the server certificate.
pub const SERVER: &[&str] =
    &["basicConstraints=CA:FALSE", "subjectAltName=DNS:localhost", "extendedKeyUsage=serverAuth"];
/// The URL of the issuer's certificate, as in certificates of public CAs.
pub const ISSUER_URL: &str = "authorityInfoAccess=caIssuers;URI:http://ca.test/issuer.crt";

impl Pki {
    /// Creates `root`, whose certificate is the `ca.crt` that clients trust, and `intermediate`,
    /// issued by it.
    pub fn new(settings: &Settings) -> Pki {
        let pki = Pki { folder: settings.path().to_owned() };
        fs::write(pki.file("minimal.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
        pki.make("root", None, 3650, CA);
        pki.make("intermediate", Some("root"), 1825, CA);
        fs::copy(pki.file("root.crt"), pki.file("ca.crt")).unwrap();
        pki
    }

    /// Makes `NAME.crt` and `NAME.key`, signed by `issuer` or self-signed.
    pub fn make(&self, name: &str, issuer: Option<&str>, days: u32, extensions: &[&str]) {
        let at = |name: String| self.file(&name).display().to_string();
        let mut arguments: Vec<String> = vec!["req".to_owned(), "-x509".to_owned(), "-nodes".to_owned()];
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("-config", at("minimal.cnf".to_owned()));
        add("-newkey", "ec".to_owned());
        add("-pkeyopt", "ec_paramgen_curve:P-256".to_owned());
        add("-subj", format!("/CN={name}"));
        add("-days", days.to_string());
        add("-keyout", at(format!("{name}.key")));
        add("-out", at(format!("{name}.crt")));
        if let Some(issuer) = issuer {
            add("-CA", at(format!("{issuer}.crt")));
            add("-CAkey", at(format!("{issuer}.key")));
        }
        extensions.iter().for_each(|extension| add("-addext", (*extension).to_owned()));
        let run = run("openssl", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(run.success, "{}", run.stderr);
    }

    /// Writes the certificates of `names`, in this order, into one file.
    pub fn bundle(&self, file: &str, names: &[&str]) {
        let text: String =
            names.iter().map(|name| fs::read_to_string(self.file(&format!("{name}.crt"))).unwrap()).collect();
        fs::write(self.file(file), text).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
