/** What somebody who started tidegate with nothing configured wants to know next. */
export function firstSteps(listening: { collector: string; address: string; protocol: string }[]): string {
  const traps = listening.find((l) => l.collector === 'snmp_trap');
  const bmp = listening.find((l) => l.collector === 'bmp');
  const lines = ['', 'tidegate is running with its built-in configuration (loopback only, community "public").', ''];
  for (const l of listening) lines.push(`  ${l.collector.padEnd(10)} ${l.address}/${l.protocol}`);
  lines.push('');
  if (traps)
    lines.push(
      'Send the first trap:',
      `  snmptrap -v2c -c public ${traps.address} '' 1.3.6.1.6.3.1.1.5.3 1.3.6.1.2.1.2.2.1.1.7 i 7`,
      '  or, without Net-SNMP:',
      `  npm run -s tidegate -- send trap --to ${traps.address}`,
      '',
    );
  if (bmp) lines.push('Point a router’s BMP station at it:', `  ${bmp.address}`, '');
  lines.push(
    'Look inside:',
    '  npm run -s tidegate -- status',
    '',
    'Events follow on standard output; Ctrl-C stops.',
    '',
  );
  return lines.join('\n');
}
