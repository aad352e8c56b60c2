package scale

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// id is a UUID as Postgres takes it.
type id = [16]byte

// epoch is when the oldest tenant was made; the youngest is a year younger.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

// tenant is how big one tenant is, and who it is.
type tenant struct {
	n         int
	id        id
	slug      string
	name      string
	tier      string
	created   time.Time
	resources int
	members   int
	teams     int
}

// skew is the exponent of the tenants' sizes by rank: with 0.8, the biggest of a thousand has about
// fifty times the average and the smallest a fifth of it.
const skew = 0.8

// plan decides the size of every tenant.
func plan(cfg Config) []tenant {
	r := rand.New(rand.NewPCG(cfg.Random, 1))
	ranks := r.Perm(cfg.Tenants)
	total := 0.0
	for rank := range cfg.Tenants {
		total += math.Pow(float64(rank+1), -skew)
	}
	out := make([]tenant, cfg.Tenants)
	for n := range out {
		share := math.Pow(float64(ranks[n]+1), -skew) / total
		t := tenant{n: n, created: epoch.Add(time.Duration(float64(year) * float64(n) / float64(cfg.Tenants)))}
		t.resources = max(1, int(math.Round(share*float64(cfg.Tenants*cfg.PerTenant))))
		t.members = 2 + int(math.Sqrt(float64(t.resources)))
		t.teams = 1 + t.members/8
		switch place := float64(ranks[n]) / float64(cfg.Tenants); {
		case place < 0.05:
			t.tier = "enterprise"
		case place < 0.30:
			t.tier = "pro"
		default:
			t.tier = "free"
		}
		draw := random(cfg, n)
		t.id = newID(draw, t.created)
		t.name = places[draw.IntN(len(places))] + " " + trades[draw.IntN(len(trades))]
		t.slug = fmt.Sprintf("seed-%x-%d", cfg.Random, n)
		out[n] = t
	}
	return out
}

// random is the source of everything about one tenant, whatever else is made before it.
func random(cfg Config, n int) *rand.Rand { return rand.New(rand.NewPCG(cfg.Random, uint64(n)+2)) }

// userID is the n-th person of a tenant, found without making the others.
func userID(cfg Config, t tenant, n int) id {
	return newID(rand.New(rand.NewPCG(cfg.Random^uint64(n+1)<<32, uint64(t.n)+2)), t.created)
}

// newID is a UUIDv7 of a moment.
func newID(r *rand.Rand, at time.Time) (out id) {
	binary.BigEndian.PutUint64(out[:8], uint64(at.UnixMilli())<<16|r.Uint64()&0x0fff|0x7000)
	binary.BigEndian.PutUint64(out[8:], r.Uint64()&(1<<62-1)|1<<63)
	return out
}

var (
	places = []string{"Amber", "Birch", "Cedar", "Delta", "Elm", "Fjord", "Granite", "Harbor", "Iris", "Juniper", "Kestrel", "Lumen", "Maple", "North", "Orchard", "Pine", "Quarry", "River", "Summit", "Tidal"}
	trades = []string{"Analytics", "Care", "Clinic", "Dental", "Foods", "Freight", "Health", "Labs", "Legal", "Logistics", "Media", "Optics", "Partners", "Robotics", "Systems", "Therapy", "Works"}
	words  = []string{"annual", "audit", "budget", "campaign", "contract", "design", "draft", "follow-up", "forecast", "handover", "intake", "launch", "migration", "notes", "onboarding", "plan", "proposal", "referral", "report", "review", "roadmap", "rollout", "schedule", "summary", "training", "update"}
	firsts = []string{"Ana", "Ben", "Chen", "Dara", "Emil", "Fatima", "Goran", "Hana", "Igor", "Jana", "Kofi", "Lena", "Marek", "Nora", "Omar", "Petra", "Quentin", "Rosa", "Sven", "Tara", "Uma", "Viktor", "Wen", "Yara", "Zoe"}
	lasts  = []string{"Abe", "Berg", "Costa", "Dumas", "Eriksen", "Fischer", "Garcia", "Horvat", "Ito", "Jansen", "Kovac", "Lopez", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Silva", "Tanaka", "Weber"}
)
