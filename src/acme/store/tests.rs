use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use time::OffsetDateTime;

use super::fixtures::{acme, credentials};
use super::*;
use crate::config::ExternalAccount;
use crate::pki::fixtures::Folder;

#[tokio::test]
async fn stored_records_can_be_read_again_but_only_by_their_owner() {
    let folder = Folder::new();
    let acme = acme(&folder);
    let store = Store::new(&acme.state);
    assert!(store.order().unwrap().is_none() && store.renewal().is_none());
    assert!(store.account(&acme).unwrap().is_none());
    store.begin(&acme, 1).await.unwrap();
    store.begin(&acme, 2).await.unwrap();
    let begun = store.renewal().unwrap();
    assert!(begun.matches(&acme) && begun.failures == 2 && begun.next > OffsetDateTime::now_utc());

    let order = OrderRecord::new(&acme, "https://ca.test/order/1", Secret::new(*b"-----BEGIN\nkey"));
    store.save_order(&order).await.unwrap();
    let kept = store.order().unwrap().unwrap();
    assert!(kept.matches(&acme) && kept.url == order.url && kept.key == order.key);
    let next = OffsetDateTime::UNIX_EPOCH + time::Duration::DAY;
    store.save_renewal(&Renewal::failed(&acme, 3, "no".to_owned(), next)).await;
    let renewal = store.renewal().unwrap();
    assert_eq!((renewal.failures, renewal.error.as_deref(), renewal.next), (3, Some("no"), next));
    for (path, mode) in
        [("deep/acme", 0o700), ("deep/acme/order.json", 0o600), ("deep/acme/renewal.json", 0o600)]
    {
        assert_eq!(fs::metadata(folder.path(path)).unwrap().permissions().mode() & 0o7777, mode, "{path}");
    }
    store.forget_order().await;
    store.forget_order().await;
    assert!(store.order().unwrap().is_none());
}

#[tokio::test]
async fn records_of_other_names_or_another_directory_do_not_match() {
    let folder = Folder::new();
    let ours = acme(&folder);
    let order = OrderRecord::new(&ours, "u", Secret::new(*b"k"));
    let renewal = Renewal::issued(&ours, OffsetDateTime::UNIX_EPOCH);
    let more = Acme { names: vec!["a.test".to_owned(), "b.test".to_owned()], ..ours.clone() };
    let elsewhere = Acme { directory: "https://other.test/dir".to_owned(), ..ours.clone() };
    let turned = Acme { names: vec!["b.test".to_owned(), "a.test".to_owned()], ..ours.clone() };
    assert!(order.matches(&ours) && renewal.matches(&ours));
    assert!(OrderRecord::new(&turned, "u", Secret::new(*b"k")).matches(&more), "names have no order");
    for other in [more, elsewhere] {
        assert!(!order.matches(&other) && !renewal.matches(&other));
    }
}

#[test]
fn records_of_the_version_before_are_read() {
    let folder = Folder::new();
    let acme = Acme { state: folder.path(""), ..acme(&folder) };
    let wanted = r#""directory": "https://ca.test/dir", "names": ["a.test"]"#;
    folder.write("order.json", format!(r#"{{{wanted}, "url": "https://ca.test/order/1", "key": "k"}}"#));
    let renewal = format!(r#"{{{wanted}, "failures": 0, "next": "2026-11-30T02:00:00Z"}}"#);
    folder.write("renewal.json", renewal);
    let account = r#""credentials": {"id": "https://ca.test/account/1", "key_pkcs8": "AAAA"}"#;
    folder.write("account.json", format!(r#"{{"https://ca.test/dir": {{"contact": [], {account}}}}}"#));
    let store = Store::new(&acme.state);
    let renewal = store.renewal().unwrap();
    assert!(store.order().unwrap().unwrap().matches(&acme) && renewal.matches(&acme));
    assert_eq!((renewal.issued, renewal.ask), (None, None));
    assert!(!store.account(&acme).unwrap().unwrap().is_bound_elsewhere(&acme));

    let eab = ExternalAccount { kid: "kid-1".to_owned(), key: folder.path("hmac") };
    let bound = Acme { eab: Some(eab), ..acme.clone() };
    assert!(store.account(&acme).unwrap().unwrap().is_bound_elsewhere(&bound));
    let other = Acme { profile: Some("shortlived".to_owned()), ..acme };
    assert!(!renewal.matches(&other) && !store.order().unwrap().unwrap().matches(&other));
}

#[tokio::test]
async fn each_directory_has_its_account() {
    let folder = Folder::new();
    let staging = acme(&folder);
    let contact = vec!["mailto:ops@a.test".to_owned()];
    let production =
        Acme { directory: "https://other.test/dir".to_owned(), contact: contact.clone(), ..staging.clone() };
    let store = Store::new(&staging.state);
    store.begin(&staging, 1).await.unwrap();
    for acme in [&staging, &production] {
        store.save_account(acme, AccountRecord::new(acme, credentials())).await.unwrap();
    }
    assert_eq!(store.account(&staging).unwrap().unwrap().contact.len(), 0);
    assert_eq!(store.account(&production).unwrap().unwrap().contact, contact);
    store.forget_account(&production).await.unwrap();
    assert!(store.account(&production).unwrap().is_none() && store.account(&staging).unwrap().is_some());
}

#[tokio::test]
async fn a_folder_is_for_one_process() {
    let folder = Folder::new();
    let acme = acme(&folder);
    let (ours, other) = (Store::new(&acme.state), Store::new(&acme.state));
    ours.begin(&acme, 1).await.unwrap();
    ours.begin(&acme, 2).await.unwrap();
    let refused = other.begin(&acme, 7).await.unwrap_err().message;
    assert!(refused.starts_with("another tidegate uses ") && refused.contains("deep/acme;"), "{refused}");
    other.save_renewal(&Renewal::issued(&acme, OffsetDateTime::now_utc())).await;
    assert_eq!(ours.renewal().unwrap().failures, 2, "what is another's is left alone");
    drop(ours);
    other.begin(&acme, 3).await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_not_treated_as_missing() {
    let folder = Folder::new();
    let acme = acme(&folder);
    let store = Store::new(&acme.state);
    store.begin(&acme, 1).await.unwrap();
    fs::create_dir(store.account_file()).unwrap();
    let failure = store.account(&acme).err().unwrap();
    assert!(failure.message.contains("account.json cannot be read: "), "{failure:?}");
    assert!(store.save_account(&acme, AccountRecord::new(&acme, credentials())).await.is_err());
    fs::create_dir(folder.path("deep/acme/order.json")).unwrap();
    assert!(store.order().is_err());
}

#[tokio::test]
async fn an_attempt_does_not_begin_in_a_folder_that_cannot_be_written_to() {
    let folder = Folder::new();
    let acme = acme(&folder);
    fs::create_dir_all(folder.path("deep/acme/renewal.json")).unwrap();
    let failure = Store::new(&acme.state).begin(&acme, 1).await.unwrap_err();
    assert!(failure.message.contains("renewal.json cannot be written: "), "{failure:?}");
}

#[test]
fn a_damaged_file_is_treated_as_missing() {
    let folder = Folder::new();
    folder.write("order.json", "{\"directory\": \"https://ca.te");
    folder.write("renewal.json", "");
    let store = Store::new(&folder.path(""));
    assert!(store.order().unwrap().is_none() && store.renewal().is_none());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_obstacle() {
    let folder = Folder::new();
    assert!(Store::new(&folder.path("not/yet")).write_obstacle().is_none());
    assert!(Store::new(Path::new("acme-that-is-not-there")).write_obstacle().is_none());
    let file = folder.write("file", "");
    let obstacle = Store::new(&file.join("acme")).write_obstacle().unwrap();
    assert!(obstacle.message.contains(&format!("{} is not a folder that", file.display())), "{obstacle}");
    // Root can write everywhere.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o500)).unwrap();
        assert!(Store::new(&folder.path("acme")).write_obstacle().is_some());
    }
}
