//! Why volumes cannot be detached now: found before anything is changed.

use std::collections::BTreeMap;

use super::block::Kind;
use super::busy::{self, Watched};
use super::kernel::Kernel;
use super::namespace::Namespace;
use super::survey::Survey;
use super::{swap, tool};
use crate::error::Error;
use crate::parse::mountinfo::Mount;

/// What stands in the way of detaching all data volumes; each a sentence with the next step.
///
/// # Errors
///
/// The kernel's files could not be read.
pub fn find(kernel: Kernel<'_>, survey: &Survey) -> Result<Vec<String>, Error> {
    let stack = survey.data_stack();
    let mut obstacles = Vec::new();
    if !tool::is_installed(kernel, "iscsiadm") {
        obstacles.push("iscsiadm is not installed: install open-iscsi".to_owned());
    }
    silent_targets(survey, &mut obstacles);
    covered(survey, &stack, &mut obstacles);
    layers(survey, &stack, &mut obstacles);
    for (name, device) in &survey.devices.0 {
        if let Kind::Loop { file } = &device.kind
            && survey.is_file_on(file, &stack)
        {
            obstacles.push(format!(
                "/dev/{name} is made of {file}: unmount it, then detach it with losetup -d /dev/{name}"
            ));
        }
    }
    memory(kernel, survey, &stack, &mut obstacles)?;
    obstacles.extend(busy::users(kernel, &watched(survey, &stack)));
    Ok(obstacles)
}

/// What was not written out yet would be lost.
fn silent_targets(survey: &Survey, obstacles: &mut Vec<String>) {
    for attached in survey.data() {
        let mounted = survey.namespaces.iter().any(|namespace| {
            survey
                .mounts_on(namespace, &attached.stack)
                .next()
                .is_some()
        });
        let in_use = mounted || survey.swaps_on(&attached.stack).next().is_some();
        if in_use && !survey.is_reached(attached) {
            obstacles.push(format!(
                "the target {} does not answer and its volumes are in use: bring it back, or give up \
                 what was not written to it yet: umount -l, then iscsiadm -m session -r {} -u",
                attached.session, attached.session.id
            ));
        }
    }
}

/// A mount on top of ours that is not ours.
fn covered(survey: &Survey, stack: &[String], obstacles: &mut Vec<String>) {
    for namespace in &survey.namespaces {
        let ours: Vec<&Mount> = survey.mounts_on(namespace, stack).collect();
        let is_ours = |id: u64| ours.iter().any(|mount| mount.id == id);
        for mount in &namespace.mounts {
            let Some(below) = ours.iter().find(|below| below.id == mount.parent) else {
                continue;
            };
            if is_ours(mount.id) {
                continue;
            }
            add(
                obstacles,
                format!(
                    "{} ({}) is mounted on {}: unmount it{}",
                    mount.target,
                    mount.fs_type,
                    below.target,
                    place_of(namespace)
                ),
            );
        }
    }
}

/// An overlay that takes a layer from ours. It keeps the file system in use, and no mount busy.
fn layers(survey: &Survey, stack: &[String], obstacles: &mut Vec<String>) {
    for namespace in &survey.namespaces {
        for mount in &namespace.mounts {
            if let Some(layer) = mount.layers().find(|dir| survey.is_file_on(dir, stack)) {
                add(
                    obstacles,
                    format!(
                        "{} ({}) has a layer at {layer}: unmount it{}",
                        mount.target,
                        mount.fs_type,
                        place_of(namespace)
                    ),
                );
            }
        }
    }
}

/// Where a mount has to be unmounted, in words that end a sentence.
fn place_of(namespace: &Namespace) -> String {
    match &namespace.process {
        Some(process) => format!(" where {process} lives"),
        None => String::new(),
    }
}

fn add(obstacles: &mut Vec<String>, line: String) {
    if !obstacles.contains(&line) {
        obstacles.push(line);
    }
}

/// What is swapped out has to go somewhere.
fn memory(
    kernel: Kernel<'_>,
    survey: &Survey,
    stack: &[String],
    obstacles: &mut Vec<String>,
) -> Result<(), Error> {
    let going: Vec<_> = survey.swaps_on(stack).collect();
    let used: u64 = going.iter().map(|swap| swap.used).sum();
    if used == 0 {
        return Ok(());
    }
    let staying = survey.swaps.iter().filter(|swap| !going.contains(swap));
    let elsewhere: u64 = staying
        .map(|swap| swap.size.saturating_sub(swap.used))
        .sum();
    let room = swap::available(kernel)?.saturating_add(elsewhere);
    if used > room {
        let paths: Vec<&str> = going.iter().map(|swap| swap.path.as_str()).collect();
        obstacles.push(format!(
            "{used} KiB are swapped out to {} and {room} KiB of memory are free: end what needs so \
             much, or add local swap space",
            paths.join(" and ")
        ));
    }
    Ok(())
}

fn watched(survey: &Survey, stack: &[String]) -> Watched {
    let mut watched = Watched::default();
    for namespace in &survey.namespaces {
        for mount in survey.mounts_on(namespace, stack) {
            watched.mounts.insert(mount.id, mount.target.clone());
            watched
                .file_systems
                .entry(mount.device.clone())
                .or_insert_with(|| mount.target.clone());
        }
    }
    watched.devices = stack
        .iter()
        .filter_map(|name| Some((survey.devices.0.get(name)?.number.clone(), name.clone())))
        .collect::<BTreeMap<_, _>>();
    watched
}
