//! What has to be done to detach every data volume, in order, and what it takes to undo it.

use std::collections::BTreeSet;

use super::block::{Device, Kind};
use super::kernel::Kernel;
use super::obstacle;
use super::operation::Operation;
use super::record::{
    ElsewhereRecord, GroupRecord, MountRecord, Record, SessionRecord, Source, SwapRecord,
};
use super::services;
use super::session::Session;
use super::survey::{Attached, Survey};
use crate::error::Error;
use crate::parse::mountinfo::Mount;
use crate::root::{GuestPath, GuestRoot};

/// Where open-iscsi keeps records of nodes.
const NODES: [&str; 2] = ["/etc/iscsi/nodes", "/var/lib/iscsi/nodes"];

/// A plan to detach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// What was detached once it is done, by earlier runs of this uptime too.
    pub record: Record,
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// Why it cannot be done now: each a sentence with the next step.
    pub obstacles: Vec<String>,
}

impl Release {
    /// Plans for the running system. Nothing is run, and nothing but the kernel is asked.
    ///
    /// # Errors
    ///
    /// The kernel's files could not be read.
    pub fn plan(root: &GuestRoot) -> Result<Self, Error> {
        let kernel = Kernel(root);
        let remembered = Record::remembered(root)?;
        let survey = Survey::read(kernel)?.filter(|survey| survey.data().next().is_some());
        let Some(survey) = survey else {
            return Ok(Self {
                record: remembered,
                ..Self::default()
            });
        };
        let draft = Draft {
            kernel,
            survey: &survey,
            stack: survey.data_stack(),
        };
        let (record, mut operations) = draft.all();
        let record = remembered.and(record);
        operations.insert(0, Operation::Remember(record.clone()));
        Ok(Self {
            record,
            operations,
            obstacles: obstacle::find(kernel, &survey)?,
        })
    }
}

struct Draft<'a> {
    kernel: Kernel<'a>,
    survey: &'a Survey,
    /// All that is to be released, what uses another one before it.
    stack: Vec<String>,
}

impl Draft<'_> {
    fn all(&self) -> (Record, Vec<Operation>) {
        let mut record = Record::default();
        let mut operations = Vec::new();
        for unit in services::attaching(self.kernel) {
            operations.push(Operation::Stop { unit: unit.clone() });
            record.services.push(unit);
        }
        self.mounts(&mut record, &mut operations);
        self.swaps(&mut record, &mut operations);
        self.devices(&mut record, &mut operations);
        for attached in self.survey.data() {
            record.sessions.push(self.session(&attached.session));
            operations.push(Operation::LogOut(attached.session.clone()));
        }
        (record, operations)
    }

    /// Our own namespace first, for what others see of it goes at the same time.
    fn mounts(&self, record: &mut Record, operations: &mut Vec<Operation>) {
        for namespace in &self.survey.namespaces {
            let mounts: Vec<&Mount> = self
                .survey
                .mounts_on(namespace, &self.stack)
                .filter(|mount| !self.survey.goes_with_ours(namespace, mount))
                .collect();
            let mut units = BTreeSet::new();
            for mount in mounts.iter().rev() {
                operations.push(Operation::Unmount {
                    id: mount.id,
                    target: mount.target.clone(),
                    process: namespace.process.clone(),
                    paths: self.paths_below(mount),
                });
            }
            for mount in mounts {
                if let Some(process) = &namespace.process {
                    record.elsewhere.push(ElsewhereRecord {
                        process: process.to_string(),
                        target: mount.target.clone(),
                    });
                } else {
                    let automount = services::automount(mount, &namespace.mounts);
                    units.extend(automount.clone());
                    record.mounts.push(self.mount(mount, automount));
                }
            }
            // Stopping the unit before would take the mount away without writing it out.
            operations.extend(units.into_iter().map(|unit| Operation::Stop { unit }));
        }
    }

    fn mount(&self, mount: &Mount, automount: Option<String>) -> MountRecord {
        MountRecord {
            source: match self.survey.device_of(mount) {
                Some(device) => self.source(device),
                None => Source::Path {
                    path: mount.source.clone(),
                },
            },
            root: mount.root.clone(),
            target: mount.target.clone(),
            fs_type: mount.fs_type.clone(),
            options: mount.all_options(),
            own_options: mount.options.clone(),
            automount,
        }
    }

    fn swaps(&self, record: &mut Record, operations: &mut Vec<Operation>) {
        let mut first = Vec::new();
        for swap in self.survey.swaps_on(&self.stack) {
            let device = self.survey.devices.by_path(&swap.path);
            record.swaps.push(SwapRecord {
                source: match device {
                    Some(device) => self.source(device),
                    None => Source::Path {
                        path: swap.path.clone(),
                    },
                },
                priority: swap.priority,
            });
            let all = || self.survey.data().map(|data| self.survey.paths(data));
            let paths = device.map_or_else(|| all().collect(), |device| self.paths_to(device));
            first.push(Operation::SwapOff {
                path: swap.path.clone(),
                paths,
            });
        }
        // A swap file keeps its file system mounted.
        let at = operations
            .iter()
            .position(|operation| matches!(operation, Operation::Unmount { .. }))
            .unwrap_or(operations.len());
        operations.splice(at..at, first);
    }

    fn devices(&self, record: &mut Record, operations: &mut Vec<Operation>) {
        let known = &self.survey.devices.0;
        for (at, name) in self.stack.iter().enumerate() {
            let Some(device) = known.get(name) else {
                continue;
            };
            match &device.kind {
                Kind::Logical { group_id, .. } => {
                    let last = !self.stack[at + 1..]
                        .iter()
                        .any(|other| is_in_group(known.get(other), group_id));
                    if last {
                        let (group, operation) = self.group(device, group_id);
                        record.groups.push(group);
                        operations.push(operation);
                    }
                }
                Kind::Multipath(map) => {
                    record.maps.push(map.clone());
                    operations.push(Operation::FlushMap(map.clone()));
                }
                Kind::Mapping(mapping) => {
                    record.mappings.push(mapping.clone());
                    operations.push(Operation::RemoveMapping(mapping.clone()));
                }
                Kind::Array => {
                    record.arrays.push(name.clone());
                    operations.push(Operation::StopArray(name.clone()));
                }
                Kind::Disk | Kind::Partition(_) | Kind::Loop { .. } => {}
            }
        }
        // Maps and arrays come back from below, groups on top of them.
        record.groups.reverse();
    }

    /// The whole group where all of it is here, else the volumes that are.
    fn group(&self, device: &Device, id: &str) -> (GroupRecord, Operation) {
        let known = &self.survey.devices.0;
        let all = known.iter().filter(|(_, d)| is_in_group(Some(d), id));
        let (here, away): (Vec<_>, Vec<_>) = all.partition(|(name, _)| self.stack.contains(name));
        let group = match &device.kind {
            Kind::Logical { group, .. } => group.clone(),
            _ => String::new(),
        };
        let volumes: Vec<String> = here
            .iter()
            .filter_map(|(_, device)| match &device.kind {
                Kind::Logical {
                    volume,
                    hidden: false,
                    ..
                } if !away.is_empty() => Some(volume.clone()),
                _ => None,
            })
            .collect();
        let mapped = here
            .iter()
            .filter_map(|(_, device)| device.mapped_name().map(str::to_owned))
            .collect();
        let record = GroupRecord {
            name: group.clone(),
            volumes: volumes.clone(),
        };
        let operation = Operation::Deactivate {
            group,
            volumes,
            mapped,
        };
        (record, operation)
    }

    fn session(&self, session: &Session) -> SessionRecord {
        SessionRecord {
            target: session.target.clone(),
            portal: session.portal.clone(),
            group: session.group.clone(),
            interface: session.interface.clone(),
            records: node_records(self.kernel, session),
        }
    }

    /// A device by what stays the same.
    fn source(&self, name: &str) -> Source {
        let device = self.survey.devices.0.get(name);
        if let Some(mapped) = device.and_then(Device::mapped_name) {
            return Source::Mapped {
                name: mapped.to_owned(),
            };
        }
        let disk = device
            .and_then(|device| device.disk.as_deref())
            .unwrap_or(name);
        let partition = match device.map(|device| &device.kind) {
            Some(Kind::Partition(number)) => Some(*number),
            _ => None,
        };
        for attached in self.survey.data() {
            let session = &attached.session;
            if let Some(lun) = session.luns.iter().find(|lun| lun.disk == disk) {
                return Source::Lun {
                    target: session.target.clone(),
                    portal: session.portal.clone(),
                    lun: lun.number,
                    partition,
                };
            }
        }
        Source::Path {
            path: format!("/dev/{name}"),
        }
    }

    fn paths_below(&self, mount: &Mount) -> Vec<Vec<u32>> {
        self.survey
            .device_of(mount)
            .map(|device| self.paths_to(device))
            .unwrap_or_default()
    }

    fn paths_to(&self, device: &str) -> Vec<Vec<u32>> {
        let holds = |attached: &&Attached| attached.stack.iter().any(|name| name == device);
        let below = self.survey.data().filter(holds);
        let mut paths: Vec<_> = below.map(|attached| self.survey.paths(attached)).collect();
        paths.dedup();
        paths
    }
}

fn is_in_group(device: Option<&Device>, id: &str) -> bool {
    matches!(device.map(|device| &device.kind), Some(Kind::Logical { group_id, .. }) if group_id == id)
}

/// The files below `nodes/TARGET/ADDRESS,PORT…`; in old versions that itself is one.
fn node_records(kernel: Kernel<'_>, session: &Session) -> Vec<String> {
    let mut records = Vec::new();
    let portal = format!("{},{}", session.portal.address, session.portal.port);
    for nodes in NODES {
        let target = GuestPath::from(nodes).join(&session.target);
        for name in kernel.names(&target) {
            let is_same = name == portal || name.starts_with(&format!("{portal},"));
            if !is_same {
                continue;
            }
            let place = target.join(name);
            let files = kernel.names(&place);
            if files.is_empty() {
                records.push(place.to_string());
            }
            records.extend(files.iter().map(|file| place.join(file).to_string()));
        }
    }
    records
}
