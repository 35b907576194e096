use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::AcmeChallenge;
use crate::tls::material::Folder;

fn acme(folder: &Folder) -> Acme {
    Acme {
        directory: "https://ca.test/dir".to_owned(),
        names: vec!["a.test".to_owned()],
        contact: Vec::new(),
        state: folder.path("deep/acme"),
        challenge: AcmeChallenge::TlsAlpn01,
        ca: None,
    }
}

#[tokio::test]
async fn what_is_kept_is_found_again_and_is_for_its_owner_alone() {
    let folder = Folder::new();
    let acme = acme(&folder);
    let store = Store::new(&acme.state);
    assert!(store.order().is_none() && store.renewal().is_none() && store.account().is_none());
    store.prepare().unwrap();
    store.prepare().unwrap();

    let order = KeptOrder::new(&acme, "https://ca.test/order/1", Secret::new(*b"-----BEGIN\nkey"));
    store.save_order(&order).await.unwrap();
    let kept = store.order().unwrap();
    assert!(kept.is_of(&acme) && kept.url == order.url && kept.key == order.key);
    let next = OffsetDateTime::UNIX_EPOCH + time::Duration::DAY;
    store.save_renewal(&Renewal::failed(&acme, 3, "no".to_owned(), next)).await;
    let renewal = store.renewal().unwrap();
    assert_eq!((renewal.failures, renewal.error.as_deref(), renewal.next), (3, Some("no"), next));
    for (path, mode) in
        [("deep/acme", 0o700), ("deep/acme/order.json", 0o600), ("deep/acme/renewal.json", 0o600)]
    {
        assert_eq!(fs::metadata(folder.path(path)).unwrap().permissions().mode() & 0o7777, mode, "{path}");
    }
    store.forget_account();
    store.forget_order();
    assert!(store.order().is_none());
}

#[tokio::test]
async fn what_belongs_to_other_names_or_to_another_directory_does_not_count() {
    let folder = Folder::new();
    let ours = acme(&folder);
    let order = KeptOrder::new(&ours, "u", Secret::new(*b"k"));
    let renewal = Renewal::issued(&ours, OffsetDateTime::UNIX_EPOCH);
    let more = Acme { names: vec!["a.test".to_owned(), "b.test".to_owned()], ..ours.clone() };
    let elsewhere = Acme { directory: "https://other.test/dir".to_owned(), ..ours.clone() };
    assert!(order.is_of(&ours) && renewal.is_of(&ours));
    for other in [more, elsewhere] {
        assert!(!order.is_of(&other) && !renewal.is_of(&other));
    }
}

#[test]
fn a_damaged_file_is_as_good_as_none() {
    let folder = Folder::new();
    folder.write("order.json", "{\"directory\": \"https://ca.te");
    folder.write("renewal.json", "");
    let store = Store::new(&folder.path(""));
    assert!(store.order().is_none() && store.renewal().is_none());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_obstacle() {
    let folder = Folder::new();
    assert!(Store::new(&folder.path("not/yet")).obstacle().is_none());
    assert!(Store::new(Path::new("acme-that-is-not-there")).obstacle().is_none());
    let file = folder.write("file", "");
    let obstacle = Store::new(&file.join("acme")).obstacle().unwrap();
    assert!(obstacle.message.contains(&format!("{} is no folder that", file.display())), "{obstacle}");
    // Root may write everywhere.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o500)).unwrap();
        assert!(Store::new(&folder.path("acme")).obstacle().is_some());
    }
}
