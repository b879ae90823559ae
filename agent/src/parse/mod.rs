//! Configuration formats: pure text in, text out. Comments, order and everything that is not
//! understood stay as they are.

pub mod dhclient_conf;
pub mod edit;
pub mod fstab;
pub mod glob;
pub mod grub_cfg;
pub mod interfaces;
pub mod iscsi_record;
pub mod kargs;
pub mod lines;
pub mod mac;
pub mod os_release;
pub mod shell_vars;
pub mod spanned;
pub mod udev_rules;
pub mod unit_file;
