use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use gateway::kit::clock::Clock;
use gateway::server::Gateway;
use harness::{Admin, Connection, Request, Response, wait_until};

/// Whoever writes a volume may.
const VOLUME: &str = "the play's folder can be written";

/// A volume as the kubelet writes one for a ConfigMap or a Secret: the names lead through the link `..data` to a folder that is
/// never changed; a change is another folder, another link renamed over that one, and the old folder removed.
struct Volume {
    folder: PathBuf,
    serial: u32,
}

impl Volume {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir(&folder).expect(VOLUME);
        Self { folder, serial: 0 }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&mut self, name: &str, text: &str) {
        self.serial += 1;
        let (fresh, data) = (format!("..serial_{}", self.serial), self.folder.join("..data"));
        let former = fs::read_link(&data).ok();
        fs::create_dir(self.folder.join(&fresh)).expect(VOLUME);
        fs::write(self.folder.join(&fresh).join(name), text).expect(VOLUME);
        let link = self.folder.join("..data_tmp");
        symlink(&fresh, &link).expect(VOLUME);
        fs::rename(&link, &data).expect(VOLUME);
        match former {
            Some(former) => fs::remove_dir_all(self.folder.join(former)).expect(VOLUME),
            None => symlink(Path::new("..data").join(name), self.file(name)).expect(VOLUME),
        }
    }
}

fn saying(what: &str, keys: &Path) -> String {
    format!(
        r#"
        [server]
        threads = 1
        drain_timeout = "5s"
        [admin]
        address = "127.0.0.1:0"
        [access_log]
        path = "off"
        [[listeners]]
        address = "127.0.0.1:0"
        [auth.partner.keys]
        header = "X-Api-Key"
        file   = {keys:?}
        [[routes]]
        respond = {{ body = "{what}" }}
        [[routes]]
        match = {{ path = "/partner" }}
        respond = {{ body = "{what}" }}
        auth = "partner"
        "#
    )
}

fn ask(gateway: &Gateway, request: &Request) -> Response {
    let mut connection = Connection::open(gateway.addresses()[0]);
    connection.ask(&request.clone().header("Connection", "close"))
}

#[test]
fn a_config_map_and_a_secret_that_change_are_taken_up_and_a_mistake_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut secret = Volume::new(folder.path().join("secret"));
    secret.write("keys", "first:not-a-secret-but-long-enough\n");
    let keys = secret.file("keys");
    let mut map = Volume::new(folder.path().join("config"));
    map.write("sluice.toml", &saying("old", &keys));
    let gateway = Gateway::start(&map.file("sluice.toml"), Clock::system()).expect("it starts");
    let admin = Admin(gateway.admin().expect("it has an admin address"));
    let says = |what: &str| ask(&gateway, &Request::get("/")).text() == what;
    let admits = |key: &str| {
        let request = Request::get("/partner").header("X-Api-Key", key);
        ask(&gateway, &request).status == 200
    };
    assert!(says("old") && admits("not-a-secret-but-long-enough"));

    for what in ["new", "newer"] {
        map.write("sluice.toml", &saying(what, &keys));
        wait_until("the new ConfigMap is in use", || says(what));
    }
    secret.write("keys", "second:another-one-that-is-long-enough\n");
    wait_until("the new Secret is in use", || {
        admits("another-one-that-is-long-enough")
    });
    assert!(!admits("not-a-secret-but-long-enough"));

    map.write("sluice.toml", "nonsense = true\n");
    wait_until("the mistake is told", || {
        admin.metrics().sum("sluice_config_last_reload_successful", &[]) == 0.0
    });
    assert!(says("newer"));
    map.write("sluice.toml", &saying("mended", &keys));
    wait_until("the mended ConfigMap is in use", || says("mended"));
    assert!(gateway.stop());
}
