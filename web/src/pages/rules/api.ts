// Custom detection rules, in the shape of Graph's security API.
import { patch, post, segment } from '../../api/client';

export const path = '/beta/security/rules/detectionRules';

export interface Asset { '@odata.type': string; identifier: string }
export interface RuleResponse { '@odata.type': string; identifier: string; isolationType?: string }
export interface Rule {
  id: string; displayName: string; isEnabled: boolean; createdBy: string; createdDateTime: string | null; lastModifiedDateTime: string | null; lastModifiedBy: string; detectorId: string;
  queryCondition: { queryText: string; lastModifiedDateTime: string | null };
  schedule: { period: string; nextRunDateTime: string | null };
  lastRunDetails: { lastRunDateTime: string | null; status: string | null; failureReason: string | null; errorCode: string | null };
  detectionAction: {
    alertTemplate: { title: string; description: string; severity: string; category: string; recommendedActions: string | null; mitreTechniques: string[]; impactedAssets: Asset[] };
    organizationalScope: { scopeType: string; scopeNames: string[] } | null;
    responseActions: RuleResponse[];
  };
}

export const periods: Record<string, string> = { '0': 'Continuous (NRT)', '1H': 'Every hour', '3H': 'Every 3 hours', '12H': 'Every 12 hours', '24H': 'Every 24 hours' };

export const categories = ['CommandAndControl', 'Collection', 'CredentialAccess', 'DefenseEvasion', 'Discovery', 'Execution', 'Exfiltration', 'Exploit', 'InitialAccess', 'LateralMovement', 'Malware', 'Persistence', 'PrivilegeEscalation', 'Ransomware', 'SuspiciousActivity'];

/** What a form holds. */
export interface Draft {
  name: string; query: string; period: string; title: string; severity: string; category: string; techniques: string; description: string; recommended: string;
  device: string; user: string; isolate: boolean; collect: boolean; investigate: boolean; scan: boolean; restrict: boolean; groups: string[]; enabled: boolean;
}

export const empty = (query = ''): Draft => ({
  name: '', query, period: '24H', title: '', severity: 'medium', category: 'SuspiciousActivity', techniques: '', description: '', recommended: '',
  device: 'deviceId', user: '', isolate: false, collect: false, investigate: false, scan: false, restrict: false, groups: [], enabled: true,
});

const type = (name: string) => `#microsoft.graph.security.${name}`;
const kinds = { isolate: 'isolateDeviceResponseAction', collect: 'collectInvestigationPackageResponseAction', investigate: 'initiateInvestigationResponseAction', scan: 'runAntivirusScanResponseAction', restrict: 'restrictAppExecutionResponseAction' } as const;

export function draftOf(r: Rule): Draft {
  const t = r.detectionAction.alertTemplate;
  const asset = (kind: string) => t.impactedAssets.find((a) => a['@odata.type'] === type(kind))?.identifier ?? '';
  const has = (kind: string) => r.detectionAction.responseActions.some((x) => x['@odata.type'] === type(kind));
  return {
    name: r.displayName, query: r.queryCondition.queryText, period: r.schedule.period, title: t.title, severity: t.severity, category: t.category, techniques: t.mitreTechniques.join(', '),
    description: t.description, recommended: t.recommendedActions ?? '', device: asset('impactedDeviceAsset'), user: asset('impactedUserAsset'), isolate: has(kinds.isolate), collect: has(kinds.collect),
    investigate: has(kinds.investigate), scan: has(kinds.scan), restrict: has(kinds.restrict), groups: r.detectionAction.organizationalScope?.scopeNames ?? [], enabled: r.isEnabled,
  };
}

export function save(d: Draft, id?: string): Promise<Rule> {
  const responses = (Object.keys(kinds) as (keyof typeof kinds)[]).filter((k) => d[k]).map((k) => ({ '@odata.type': type(kinds[k]), identifier: d.device || 'deviceId', ...(k === 'isolate' ? { isolationType: 'full' } : {}) }));
  const body = {
    displayName: d.name.trim(), isEnabled: d.enabled, queryCondition: { queryText: d.query }, schedule: { period: d.period },
    detectionAction: {
      alertTemplate: {
        title: d.title.trim() || d.name.trim(), description: d.description, severity: d.severity, category: d.category, recommendedActions: d.recommended || null,
        mitreTechniques: d.techniques.split(/[\s,;]+/).filter(Boolean),
        impactedAssets: [...(d.device ? [{ '@odata.type': type('impactedDeviceAsset'), identifier: d.device }] : []), ...(d.user ? [{ '@odata.type': type('impactedUserAsset'), identifier: d.user }] : [])],
      },
      organizationalScope: d.groups.length > 0 ? { '@odata.type': type('organizationalScope'), scopeType: 'deviceGroup', scopeNames: d.groups } : null,
      responseActions: responses,
    },
  };
  return id ? patch<Rule>(`${path}/${segment(id)}`, body) : post<Rule>(path, body);
}
