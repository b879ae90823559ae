//! Configuration formats: pure text in, text out. Comments, order and everything that is not
//! understood stay as they are.

pub mod dhclient_conf;
pub mod edit;
pub mod fstab;
pub mod glob;
pub mod grub_cfg;
pub mod interfaces;
pub mod iptables;
pub mod iscsi_record;
pub mod kargs;
pub mod keyfile;
pub mod lines;
pub mod lvm_conf;
pub mod mac;
pub mod mountinfo;
pub mod nftables;
pub mod os_release;
pub mod shell_vars;
pub mod spanned;
pub mod udev_rules;
pub mod unit_file;
pub mod xml;
pub mod xml_tags;
pub mod yaml;
pub mod yaml_keys;
