//! An etcd that speaks TLS, asks for a certificate, and lets in whom it knows.

use super::{append, lead, record, unit};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use store::etcd::{Access, Address, Standing};
use store::{FailureKind, Store};

struct Locked {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Keys and certificates: `ca`, `one` for everybody, and `other-ca`, who signs nothing here.
fn certificates(directory: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let made = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(directory.join(format!("{name}.pem")), made.pem()).unwrap();
        made
    };
    let ca = authority("ca");
    authority("other-ca");
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    // The gateway refuses certificates with a common name, which it could not pass on.
    params.distinguished_name = rcgen::DistinguishedName::new();
    // It is a client of etcd's own.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    fs::write(directory.join("one.pem"), certificate.pem()).unwrap();
    fs::write(directory.join("one.key"), key.serialize_pem()).unwrap();
}

impl Locked {
    /// `tokens`: what etcd's tokens are; with a file named `secret` beside it.
    fn start(tokens: impl Fn(&Path) -> String) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let is_there = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
        if !is_there.is_ok_and(|status| status.success()) {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"skipped: etcd is not installed (Debian package etcd-server)\n",
            );
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zonewright-etcd-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        certificates(&directory);
        fs::write(directory.join("secret"), "known to etcd only").unwrap();
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, peer] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let (client, peer) = (format!("https://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
        let log = fs::File::create(directory.join("log")).unwrap();
        let file = |name: &str| directory.join(name).display().to_string();
        let child = Command::new("etcd")
            .args(["--name", "m", "--data-dir", &file("data")])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("m={peer}")])
            .args(["--cert-file", &file("one.pem"), "--key-file", &file("one.key")])
            .args(["--client-cert-auth", "--trusted-ca-file", &file("ca.pem")])
            .args(["--auth-token", &tokens(&directory.join("secret"))])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let locked = Self { child, directory, port };
        while !locked.tell(&["endpoint", "health"]) {}
        Some(locked)
    }

    /// Lets in `zw` for the keys of a zone, as the file `user` says, and `root`; nobody else from then on.
    fn lock(&self) -> Access {
        for words in [
            &["user", "add", "root:secret"][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "zone"],
            &["role", "grant-permission", "zone", "--prefix=true", "readwrite", "zone/"],
            &["user", "add", "zw:pass:word"],
            &["user", "grant-role", "zw", "zone"],
            &["auth", "enable"],
        ] {
            assert!(self.tell(words), "{words:?}");
        }
        fs::write(self.file("user"), "zw:pass:word\n").unwrap();
        Access {
            ca: Some(self.file("ca.pem")),
            certificate: Some((self.file("one.pem"), self.file("one.key"))),
            credentials: Some(self.file("user")),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opened, and the one that decides.
    fn led(&self, access: &Access) -> Store {
        let opened = self.open(access);
        lead(
            opened.unwrap_or_else(|said| panic!("{said}\n{}", fs::read_to_string(self.file("log")).unwrap())),
        )
    }

    fn tell(&self, words: &[&str]) -> bool {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &format!("https://127.0.0.1:{}", self.port), "--cacert", &file("ca.pem")])
            .args(["--cert", &file("one.pem"), "--key", &file("one.key")])
            .args(words)
            .output();
        output.unwrap().status.success()
    }

    fn open(&self, access: &Access) -> Result<Store, String> {
        let address = Address::parse(&format!("etcds://127.0.0.1:{}/zone", self.port)).unwrap();
        let opened = Store::open_etcd(&address, access, "a");
        opened
            .map_err(|error| std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
    }
}

#[test]
fn who_is_let_in_writes_and_nobody_else_reads() {
    let Some(locked) = Locked::start(|_| "simple".into()) else { return };
    let access = locked.lock();
    let file = |name: &str| locked.file(name);
    fs::write(file("wrong"), "zw:guess\n").unwrap();
    let mut store = locked.led(&access);
    append(&mut store, &[record(1, unit(1))], &[]);
    append(&mut store, &[record(2, unit(1))], &[]);
    assert_eq!(store.load().unwrap().last_seq, 2);
    store.resign();

    let refused = |access: Access| locked.open(&access).err().expect("refused");
    let said = refused(Access { credentials: Some(file("wrong")), ..access.clone() });
    assert!(said.contains("does not let \"zw\" in"), "{said}");
    refused(Access { credentials: None, ..access.clone() });
    let said = refused(Access { ca: Some(file("other-ca.pem")), ..access.clone() });
    assert!(said.starts_with("etcd cannot be reached") && said.contains("certificate"), "{said}");
    refused(Access { certificate: None, ..access.clone() });
    let said = refused(Access { ca: None, ..access.clone() });
    assert!(said.contains("--store-ca") && !said.contains("put back a copy"), "{said}");
    // Another zone's keys are none of this user's.
    let address = Address::parse(&format!("etcds://127.0.0.1:{}/theirs", locked.port)).unwrap();
    let error = Store::open_etcd(&address, &access, "a").err().unwrap();
    assert!(
        matches!(error, store::OpenError::Failed { ref source, .. } if source.kind == FailureKind::ReadOnly),
        "{error:?}"
    );
}

#[test]
fn who_leads_goes_on_when_the_users_of_etcd_change() {
    let signed = |secret: &Path| format!("jwt,priv-key={},sign-method=HS256,ttl=10m", secret.display());
    let Some(locked) = Locked::start(signed) else { return };
    let mut store = locked.led(&locked.lock());
    append(&mut store, &[record(1, unit(1))], &[]);
    assert!(locked.tell(&["--user", "root:secret", "user", "add", "other:secret"]));
    // Such a token says how etcd's users were when it was given.
    append(&mut store, &[record(2, unit(1))], &[]);
    assert!(locked.tell(&["--user", "root:secret", "user", "delete", "other"]));
    let followed = store.follow().unwrap();
    assert_eq!(followed.standing, Standing::Leads);
    assert_eq!(store.load().unwrap().last_seq, 2);
    store.resign();
}
