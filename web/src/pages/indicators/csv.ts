// Indicators as CSV, with the columns of the published template.

const columns = ['IndicatorType', 'IndicatorValue', 'ExpirationTime', 'Action', 'Severity', 'Title', 'Description', 'RecommendedActions', 'RbacGroups', 'Category', 'MitreTechniques', 'GenerateAlert'] as const;

export const template = `${columns.join(',')}\r\nFileSha256,0000000000000000000000000000000000000000000000000000000000000000,2030-01-01T00:00:00Z,Audit,Medium,Title,Description,,,,,true\r\n`;

/** The cells of CSV, with quotation marks and line ends within them. */
export function cells(text: string): string[][] {
  const out: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  const s = text.replace(/^\uFEFF/, '');
  for (let i = 0; i < s.length; i++) {
    const c = s[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (s[i + 1] === '"') { cell += '"'; i++; } else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === ',') { row.push(cell); cell = ''; }
    else if (c === '\n' || c === '\r') {
      if (c === '\r' && s[i + 1] === '\n') i++;
      row.push(cell);
      cell = '';
      if (row.some((x) => x !== '')) out.push(row);
      row = [];
    } else cell += c;
  }
  row.push(cell);
  if (row.some((x) => x !== '')) out.push(row);
  return out;
}

/** The indicators of a file as the API takes them. Throws what is wrong with it. */
export function parseCSV(text: string): object[] {
  const [head, ...rows] = cells(text);
  if (!head) throw new Error('The file is empty.');
  const place = (name: string) => head.findIndex((h) => h.trim().toLowerCase() === name.toLowerCase());
  for (const need of ['IndicatorType', 'IndicatorValue', 'Action', 'Title']) if (place(need) < 0) throw new Error(`The file has no column ${need}. See the template.`);
  if (rows.length === 0) throw new Error('The file names no indicator.');
  return rows.map((r) => {
    const of = (name: string) => r[place(name)]?.trim() ?? '';
    const list = (name: string) => of(name).split(/[;|]/).map((x) => x.trim()).filter(Boolean);
    return {
      indicatorType: of('IndicatorType'), indicatorValue: of('IndicatorValue'), action: of('Action'), title: of('Title'), description: of('Description') || of('Title'), severity: of('Severity') || null,
      expirationTime: of('ExpirationTime') || null, recommendedActions: of('RecommendedActions') || null, rbacGroupNames: list('RbacGroups'), mitreTechniques: list('MitreTechniques'), generateAlert: of('GenerateAlert').toLowerCase() === 'true' || of('Action') === 'Audit',
    };
  });
}
