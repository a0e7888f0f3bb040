/**
 * A real Kafka broker for the lab: the jars of Apache Kafka from Maven, kept in `.lab/kafka/libs` (git-ignored). Needs mvn and java >= 17.
 * Run once; later calls find the jars and return at once.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const KAFKA_VERSION = '4.1.0';
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '.lab', 'kafka');
const LIBS = join(ROOT, `libs-${KAFKA_VERSION}`);

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lab</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/** The directory of the jars, or undefined where they were not installed. */
export function kafkaLibs() {
  return existsSync(LIBS) ? LIBS : undefined;
}

/** What is missing on this machine to run the broker, or undefined. */
export function kafkaMissing() {
  if (spawnSync('java', ['-version']).status !== 0) return 'java (apt-get install default-jre-headless)';
  if (!kafkaLibs()) return `Kafka ${KAFKA_VERSION} (node test/lab/install-kafka.mjs)`;
  return undefined;
}

/** Installs the jars where they are missing; returns their directory. Throws with Maven's output where that fails. */
export function ensureKafka() {
  const have = kafkaLibs();
  if (have) return have;
  const temporary = join(ROOT, `new-${process.pid}`);
  mkdirSync(temporary, { recursive: true });
  try {
    writeFileSync(join(temporary, 'pom.xml'), POM);
    const done = spawnSync('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=libs'], {
      cwd: temporary,
      encoding: 'utf8',
    });
    if (done.status !== 0) throw new Error(`mvn: ${done.error?.message ?? `${done.stdout}\n${done.stderr}`}`);
    const jars = readdirSync(join(temporary, 'libs'));
    if (!jars.includes(`kafka_2.13-${KAFKA_VERSION}.jar`)) throw new Error(`mvn brought no Kafka: ${jars.join(' ')}`);
    if (!kafkaLibs()) renameSync(join(temporary, 'libs'), LIBS);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return LIBS;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(ensureKafka());
