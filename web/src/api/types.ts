// The entities of the public API, as its OpenAPI document describes them (npm run generate).
import type { components } from './schema';

type S = components['schemas'];

export type Alert = S['alert'];
export type Evidence = S['evidence'];
export type Machine = S['machine'];
export type MachineAction = S['action'];
/** An action as the action center has it: with its steps, approval and what would undo it. */
export type Action = S['respond.action'];
export type Incident = S['incident'];
/** An incident as a queue shows it: its alerts are counted. */
export type QueuedIncident = S['queuedIncident'];
/** What both say of it. */
export type IncidentHead = Pick<Incident, keyof Incident & keyof QueuedIncident>;
export type IncidentAlert = S['incidentAlert'];
export type Investigation = S['investigation'];
export type Indicator = S['indicator'];
export type ProcessTree = S['tree'];
export type ProcessNode = S['node'];
export type HistoryEntry = S['entry'];
export type DeviceGroup = S['deviceGroup'];
export type HuntAnswer = S['huntAnswer'];
export type LogonUser = S['user'];
export type DeviceHealth = S['deviceHealth'];
export type Availability = S['availability'];
export type LiveSession = S['session'];
export type LiveCommand = S['live.command'];
export type LiveFile = S['live.file'];
export type LiveOpen = S['open'];
export type LiveOutlook = S['outlook'];
export type Feed = S['feed'];
export type MachineReference = S['machineReference'];
export type Distribution = S['distribution'];
export type RemediationTask = S['task'];
export type LibraryFile = S['library'];
export type Software = S['software'];
export type Vulnerability = S['vulnerability'];
export type Recommendation = S['recommendation'];

export const severities = ['High', 'Medium', 'Low', 'Informational'] as const;
export type Severity = (typeof severities)[number];
